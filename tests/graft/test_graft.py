"""The `graft` command: it offers every command of the three packages, and its help needs no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from graft.__main__ import app

COMMANDS = (
    *("finetune", "plan", "compare", "search", "check", "augment", "pictures", "pretrain", "keys"),
    *("predict", "info", "export", "demo", "serve", "zoo"),
)


def test_help_lists_every_command_and_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from graft.__main__ import app; sys.argv = ['graft', '--help']\n"
        "try: app()\n"
        "finally: assert not {'torch', 'numpy', 'optuna', 'pydantic', 'rich'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines() if line.strip()}
    assert listed >= set(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("finetune", "specs/no_such.yaml"), "no such spec"),
        (("finetune", "specs/lenet5.yaml", "--set", "finetune.epochs"), "expected KEY=VALUE"),
        (("zoo", "describe", "lenet5", "--set", "classes"), "expected KEY=VALUE"),
    ],
)
def test_commands_take_the_arguments_of_their_package(arguments: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert message in str(result.exception)


def test_the_mistakes_of_every_package_end_in_a_message() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "graft", "info", "no_such.onnx"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no_such.onnx" in done.stderr
    assert "Traceback" not in done.stderr
