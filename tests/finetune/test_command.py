"""The command line of training: mistakes end in their message and exit code 2, never in a traceback."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from finetune.__main__ import app, main
from finetune.records.plan import read_plan
from finetune.records.run_folder import RunFolder, lock_folder


def call(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "finetune", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "specs/no_such.yaml"), "no such spec"),
        (("run", "specs/lenet5.yaml", "--set", "finetune.epoch=3"), "did you mean 'epochs'?"),
        (("run", "specs/lenet5.yaml", "--set", "finetune.epochs"), "expected KEY=VALUE"),
        (("run", "specs/lenet5.yaml", "--data", "/no/such/folder"), "/no/such/folder: no such folder"),
        (("plan", "specs/lenet5.yaml", "--set", "finetune.strategy=full"), "needs pretrained weights"),
    ],
)
def test_mistakes_are_told(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["finetune", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err.replace("\n", " ").replace("│", "")


def test_five_mistakes_give_five_errors() -> None:
    done = call("run", "tests/specs/bad/five_mistakes.yaml")
    assert done.returncode == 2
    assert done.stderr == Path("tests/specs/bad/five_mistakes.txt").read_text()
    assert done.stderr.count("five_mistakes.yaml:") == 5


def test_a_plan_is_printed_and_written_and_nothing_else_is(tmp_path: Path) -> None:
    done = call("plan", str(Path("specs/lenet5.yaml").resolve()), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) <= 15
    assert "Found 1,797 images of 10 classes, 174 to 183 per class" in done.stdout
    assert "(scratch), in at most" in done.stdout
    assert "very little data" not in done.stdout  # the table is behind --why
    assert lines[-1].endswith("--set finetune.plan=runs/lenet5/digits.plan.json")
    written = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert written == ["runs/lenet5/digits.plan.json"]
    assert read_plan(tmp_path / written[0]).strategy == "scratch"


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "finetune", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def interrupt(process: subprocess.Popen[str], when: Callable[[], bool]) -> tuple[int, str]:
    """Send Ctrl-C. Out: the exit code and the last line of the messages."""
    deadline = time.monotonic() + 200
    while not when():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    messages = process.communicate(timeout=60)[1]
    assert "Traceback" not in messages
    return process.returncode, messages.splitlines()[-1].strip()


def test_ctrl_c_says_how_to_continue_and_that_command_does(tmp_path: Path) -> None:
    spec = str(Path("specs/lenet5.yaml").resolve())
    settings = ["--set", "finetune.epochs=60", "--set", "finetune.patience=none", "--set", "data.test=0.6"]
    process = start("run", spec, *settings, cwd=tmp_path)
    runs = tmp_path / "runs" / "lenet5"
    code, line = interrupt(process, lambda: any(runs.glob("digits-*/checkpoint/latest")))
    folder = next(runs.iterdir()).relative_to(tmp_path)
    program, *arguments = shlex.split(line)
    assert code == 130
    assert "graft" in program
    assert arguments == ["finetune", spec, *settings, "--run", str(folder)]
    with lock_folder(RunFolder(tmp_path / folder)):
        refused = call("run", *arguments[1:], cwd=tmp_path)
    assert refused.returncode == 2
    assert "is working in this folder" in refused.stderr
    process = start("run", *arguments[1:], cwd=tmp_path)
    latest = (tmp_path / folder / "checkpoint" / "latest").read_text()
    again = interrupt(process, lambda: (tmp_path / folder / "checkpoint" / "latest").read_text() != latest)
    assert again == (130, line)


@pytest.mark.parametrize("command", ["run", "plan", "search", "pretrain"])
def test_a_folder_that_cannot_be_written_is_told_at_once(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = str(Path("specs/lenet5.yaml").resolve())
    monkeypatch.chdir(tmp_path)
    Path("runs").write_text("")
    result = CliRunner().invoke(app, [command, spec])
    assert not result.output
    assert str(result.exception).startswith("runs/lenet5")
    assert "cannot be written: Not a directory" in str(result.exception)
