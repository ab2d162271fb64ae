"""The command line of training: mistakes end in their message and exit code 2, never in a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from finetune.records.plan import read_plan


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
def test_mistakes_are_told(arguments: tuple[str, ...], message: str) -> None:
    done = call(*arguments)
    assert done.returncode == 2
    assert message in done.stderr.replace("\n", " ").replace("│", "")
    assert "Traceback" not in done.stderr


def test_five_mistakes_give_five_errors() -> None:
    done = call("run", "tests/specs/bad/five_mistakes.yaml")
    assert done.returncode == 2
    assert done.stderr == Path("tests/specs/bad/five_mistakes.txt").read_text()
    assert done.stderr.count("five_mistakes.yaml:") == 5


def test_a_plan_is_printed_and_written_and_nothing_else_is(tmp_path: Path) -> None:
    done = call("plan", str(Path("specs/lenet5.yaml").resolve()), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in ("very little data", "linear_probe", "plan: scratch", "minutes"):
        assert words in done.stdout
    written = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert written == ["runs/lenet5/plan.json"]
    assert read_plan(tmp_path / written[0]).strategy == "scratch"
