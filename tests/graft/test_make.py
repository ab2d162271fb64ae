"""The Makefile: what its variables hand to the command, spaces included."""

from __future__ import annotations

import shlex
import subprocess

import pytest


def dry_run(*arguments: str) -> list[str]:
    """Return the words of the command that a target would run."""
    command = ["make", "--dry-run", "--no-print-directory", "-o", ".venv/.ready", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return shlex.split(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("finetune", "SPEC=a b.yaml", "DATA=my photos"), ["finetune", "a b.yaml", "--data", "my photos"]),
        (
            ("finetune", "SPEC=s", 'SET=finetune.plan="my plans/p.json" finetune.epochs=3'),
            ["finetune", "s", "--set", "finetune.plan=my plans/p.json", "--set", "finetune.epochs=3"],
        ),
        (("plan", "SPEC=s", "SET=a=* b=1", "WHY=1"), ["plan", "s", "--set", "a=*", "--set", "b=1", "--why"]),
        (("predict", "MODEL=runs/a b", "IMAGE=x y.jpg"), ["predict", "runs/a b", "x y.jpg"]),
        (("report", "RUN=runs/a b"), ["report", "runs/a b"]),
        (("serve", "MODEL=m.onnx"), ["serve", "m.onnx"]),
        (("pull", "SPEC=s"), ["zoo", "pull", "s"]),
        (("finetune", "DATA=my photos"), ["finetune", "specs/auto.yaml", "--data", "my photos"]),
        (("plan", "DATA=d"), ["plan", "specs/auto.yaml", "--data", "d"]),
        (("finetune", "DATA=d", "SPEC=s"), ["finetune", "s", "--data", "d"]),
        (("compare", "DATA=d", "SPECS=s t"), ["compare", "s", "t", "--data", "d"]),
    ],
)
def test_variables_become_arguments(arguments: tuple[str, ...], words: list[str]) -> None:
    assert dry_run(*arguments)[3:] == words
