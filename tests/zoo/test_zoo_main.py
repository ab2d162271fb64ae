"""`python -m zoo`: what it prints where, and with which exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import zoo.__main__ as command
from zoo.spec.schema import schema_text

ROOT = Path(__file__).resolve().parents[2]
BAD = "tests/specs/bad/five_mistakes"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process, which has torch already; give its exit status."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["zoo", *arguments])
    with pytest.raises(SystemExit) as caught:
        command.main()
    return int(caught.value.code or 0)


def test_validate_says_what_is_valid(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(monkeypatch, "validate", "lenet5", "specs/resnet_small.yaml", "--set", "choices.norm=group_norm")
        == 0
    )
    assert capsys.readouterr().out == "lenet5: valid\nspecs/resnet_small.yaml: valid\n"


def test_validate_tells_all_mistakes_of_all_specs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "validate", f"{BAD}.yaml", "lenet5", "tests/specs/bad/shape_add.yaml") == 2
    captured = capsys.readouterr()
    expected = [(ROOT / f"{name}.txt").read_text() for name in (BAD, "tests/specs/bad/shape_add")]
    assert captured.err == "".join(expected)
    assert captured.out == "lenet5: valid\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validate", "resnet81"], "resnet81: no such spec; did you mean 'specs/resnet18.yaml'?\n"),
        (["validate", "lenet5", "--set", "classes"], "--set classes: expected KEY=VALUE, such as"),
        (["validate", "lenet5", "--set", "clases=3"], "SET: unknown key 'clases'\n"),
        (["schema", "--output", "/no/x.json"], "/no/x.json: the schema cannot be written: No such file"),
    ],
)
def test_mistake_at_the_command_line(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert capsys.readouterr().err.startswith(message)


def test_schema_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "schema.json"
    assert run(monkeypatch, "schema", "--output", str(file)) == 0
    assert capsys.readouterr().out == f"{file}\n"
    assert json.loads(file.read_text())["title"] == "Graft spec"
    assert file.read_text() == schema_text()


def test_five_mistakes_in_a_process_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "validate", f"{BAD}.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (ROOT / f"{BAD}.txt").read_text()
    assert done.stderr.count("did you mean") == 5
    assert "Traceback" not in done.stderr


def imported(*arguments: str) -> set[str]:
    """Run the command; return the modules that it imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "zoo", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_help_and_validate_import_little() -> None:
    """So they are fast: 0.1 and 0.4 s; their times alone would depend on the machine."""
    helping, validating = imported("--help"), imported("validate", "specs/resnet18.yaml")
    assert not helping & {"torch", "pydantic", "numpy", "yaml"}
    assert len(helping) < 200  # 152 now
    assert not validating & {"torch", "numpy", "finetune"}
    assert len(validating) < 430  # 329 now


def test_validate_of_a_recipe_imports_no_torch() -> None:
    assert not imported("validate", "specs/resnet_small.yaml") & {"torch", "numpy"}
