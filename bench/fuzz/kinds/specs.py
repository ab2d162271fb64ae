"""Specs of the zoo with values, keys and text changed: read, checked and built, or refused."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bench.fuzz.case import ACCEPTED, Case, Kind, WrongError, refused
from bench.fuzz.mutate import alter, damage
from zoo.api import check_network, read_spec
from zoo.builder.network import build_network
from zoo.errors import GraftError
from zoo.registry import INITS
from zoo.spec.inherit import SPECS
from zoo.spec.items import ops
from zoo.spec.nodes import plain
from zoo.spec.yaml import read_file, to_yaml

LARGE = ("152", "161", "201", "169", "101")  # as their smaller kin, and slower
WORDS = ["norm", "act", "drop", "none", "use", "from", "as", "include", "input", "repeat", "with", "first"]
WORDS += ["names", "$out", "$classes", "basic", "lenet5.fc1", "vgg16.features", "pool4", "lenet5", "other"]
WORDS += ["layer{n}", "conv1", "fc", "layer1.0", "auto", "full", "partial", "**", "conv*", "other.features"]


def _prepare(_folder: Path) -> None:
    """The specs are those of the zoo."""


def _open(_folder: Path) -> Case:
    return _check


def _check(draw: random.Random, folder: Path) -> str:
    path = folder / "mutated.yaml"
    path.write_bytes(_draw(draw))
    if draw.random() < 0.3:  # another one, which this one may extend or include
        (folder / "other.yaml").write_bytes(_draw(draw))
    try:
        spec = read_spec(path)
        check_network(spec)
        if spec.layers is not None:
            build_network(spec)
        text = spec.to_yaml()
        (folder / "again.yaml").write_text(text, encoding="utf-8")
        again = read_spec(folder / "again.yaml").to_yaml()
    except GraftError as error:
        return refused(error)
    if again != text:
        raise WrongError("the resolved spec is read as another one")
    return ACCEPTED


def _draw(draw: random.Random) -> bytes:
    document = alter(_read(draw.choice(_files())), draw, _words(), draw.choice((1, 1, 2, 3, 6)))
    as_json = draw.random() < 0.5 or "\\ud800" in json.dumps(document)
    text = (json.dumps(document) if as_json else to_yaml(document)).encode()
    return damage(text, draw) if draw.random() < 0.2 else text


@cache
def _files() -> list[Path]:
    return sorted(path for path in SPECS.rglob("*.yaml") if not path.stem.endswith(LARGE))


@cache
def _read(path: Path) -> Any:  # noqa: ANN401
    return plain(read_file(path, path.name))


@cache
def _words() -> list[str]:
    schema = json.loads((SPECS / "spec.schema.json").read_text(encoding="utf-8"))
    return sorted({*ops(), *INITS.names(), *WORDS, *_keys(schema)})


def _keys(schema: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield every key and every word that a schema names."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from (word for word in schema.get("enum", ()) if isinstance(word, str))
    below = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for item in below:
        yield from _keys(item)


KIND = Kind("specs", 5000, _prepare, _open)
