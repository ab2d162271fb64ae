"""Plans that somebody edited: read and checked against the network, or refused."""

from __future__ import annotations

import json
import random
from pathlib import Path

from bench.fuzz.case import ACCEPTED, Case, Kind, refused
from bench.fuzz.kinds.small import QUIET, write_spec
from bench.fuzz.mutate import alter, damage
from finetune.api import make_plan
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import prepare
from finetune.planning.load import read_given_plan
from finetune.records.plan import PLAN
from zoo.errors import GraftError

WORDS = [
    "strategy",
    "trains",
    "full",
    "partial",
    "scratch",
    "linear_probe",
    "conv",
    "fc",
    "auto",
    "bfloat16",
    "head",
    "probe",
    "fresh",
    "reasons",
    "evidence",
    "epochs",
    "images",
    "cell",
    "similar",
    "different",
]


def _prepare(folder: Path) -> None:
    plan = make_plan(write_spec(folder), root=folder, console=QUIET)
    (folder / "plan.json").write_text(plan.to_json(), encoding="utf-8")


def _open(folder: Path) -> Case:
    recipe = read_recipe(folder / "small.yaml")
    setup = prepare(recipe, load_data(recipe))
    text = (folder / "plan.json").read_text(encoding="utf-8")

    def check(draw: random.Random, empty: Path) -> str:
        document = alter(json.loads(text), draw, WORDS, draw.choice((1, 1, 2, 4)))
        content = json.dumps(document).encode()
        path = empty / "plan.json"
        path.write_bytes(damage(content, draw) if draw.random() < 0.3 else content)
        try:
            plan = read_given_plan(setup, str(path))
        except GraftError as error:
            return refused(error)
        assert PLAN.validate_json(plan.to_json())
        return ACCEPTED

    return check


KIND = Kind("plans", 1000, _prepare, _open)
