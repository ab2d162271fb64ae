"""Exported models whose metadata is changed: answers and descriptions that are safe to print, or refused."""

from __future__ import annotations

import contextlib
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from bench.fuzz.case import ACCEPTED, Case, Kind, WrongError, refused
from bench.fuzz.kinds.small import LABELS, PROPERTIES, write_model
from bench.fuzz.mutate import DEEP, alter, damage, draw_text, draw_value
from pixels import ImageError
from pixels.text import UNPRINTABLE
from serve.__main__ import app
from serve.artifact import ArtifactError
from serve.predictor import Predictor

WORDS = (*PROPERTIES, "accuracy", "segmentation", "graft.labels", *LABELS)
SHARE_OF_DAMAGED_FILES = 0.1


def _prepare(_folder: Path) -> None:
    """Models are written by each case."""


def _open(_folder: Path) -> Case:
    return _check


def _check(draw: random.Random, folder: Path) -> str:
    path = write_model(folder / "model.onnx", _draw(draw))
    if draw.random() < SHARE_OF_DAMAGED_FILES:
        content = path.read_bytes()
        path.write_bytes(content[: draw.randrange(len(content))])
    image = np.zeros((8, 8, 3), np.uint8)
    for command in (["info", str(path)], ["info", str(path), "--json"]):
        _run(command)
    try:
        answer = Predictor(path, threads=1)(image)
    except (ArtifactError, ImageError) as error:
        return refused(error)
    if len(answer) != len(LABELS) or not np.isfinite([share for _, share in answer]).all():
        raise WrongError(f"an answer of {len(answer)} classes")
    return ACCEPTED


def _run(command: list[str]) -> None:
    """Run a command; it may only print what is safe to print, and end with 0 or 2."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = app(command, standalone_mode=False)
        except SystemExit as stop:
            code = stop.code
    printed = out.getvalue() + err.getvalue()
    if found := UNPRINTABLE.search(printed):
        raise WrongError(f"{command[0]} prints U+{ord(found[0]):04X}")
    if code not in (None, 0, 2):
        raise WrongError(f"{command[0]} ends with {code}")


def _draw(draw: random.Random) -> dict[str, str]:
    properties = dict(PROPERTIES)
    for _ in range(draw.choice((1, 1, 2, 3))):
        key = draw.choice(sorted(properties))
        match draw.choice(("json", "json", "text", "bytes", "remove", "number", "deep")):
            case "json":
                properties[key] = json.dumps(_alter(properties[key], draw))
            case "text":
                properties[key] = draw_text(draw, WORDS).encode(errors="replace").decode()
            case "bytes":
                properties[key] = damage(properties[key].encode(), draw).decode(errors="replace")
            case "remove" if len(properties) > 1:
                del properties[key]
            case "number":
                properties[key] = (
                    f'{{"accuracy": {draw.choice(("9" * 5000, "1e999", "-1", "NaN", "1e-999"))}}}'
                )
            case "deep":
                depth = draw.choice(DEEP)
                properties[key] = draw.choice(
                    ('{"a":' * depth + "1" + "}" * depth, "[" * depth + "]" * depth)
                )
    return properties


def _alter(text: str, draw: random.Random) -> Any:  # noqa: ANN401
    try:
        return alter(json.loads(text), draw, WORDS, draw.choice((1, 2, 5)))
    except (ValueError, RecursionError):
        return draw_value(draw, WORDS)


KIND = Kind("onnx", 1000, _prepare, _open)
