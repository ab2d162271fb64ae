"""A plan in one paragraph of plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from finetune.planning.forecast import planned_minutes
from finetune.planning.table import TABLE
from finetune.records.plan import SIZES, Plan
from finetune.strategies import find_strategy

SHORT, LONG = 0.1, 1.5
"""Minutes up to which a time is a few seconds, and from which it is told in minutes."""


def summarise(plan: Plan) -> str:
    """What is done with the images, and why, for people who will not read the numbers."""
    return " ".join([*_data(plan), *_race(plan), *_work(plan)])


def _data(plan: Plan) -> Iterator[str]:
    if plan.cell is None:
        yield "There are no pretrained weights to compare the images with."
        return
    size, similarity = plan.cell
    usual, count = TABLE[plan.cell], f"{plan.evidence['median_class']:.0f}"
    relation = "much like" if similarity == "similar" else "unlike"
    amount = size if size == SIZES[0] else f"already {size}"
    yield (
        f"About {count} images a class are {amount}, and they are {relation} what the weights were trained "
        f"on: for that, {_words(usual)} is usual ({usual})."
    )


def _race(plan: Plan) -> Iterator[str]:
    race: Any = plan.evidence.get("race")
    if race is None or plan.strategy not in race["scores"]:
        return
    chosen = race["winner"] == plan.strategy  # else the plan was edited
    if race.get("blind") and chosen:
        yield (
            "Nothing that was tried is clearly better than guessing, so the cheapest stays; look whether the "
            "labels are right, and whether the images show what they say."
        )
        return
    scores: Mapping[str, Any] = race["scores"]
    won = scores[plan.strategy]["expected"]
    others = ", ".join(
        f"{name} {score['expected']['value']:.1%}" for name, score in scores.items() if name != plan.strategy
    )
    basis = (
        "After a trial on images that were kept from it"
        if race["scores"][plan.strategy]["images"]
        else "Going by the linear classifiers, and by what the benchmark saw on such data"
    )
    yield (
        f"{basis}, {plan.strategy} is expected to be right on "
        f"{won['value']:.1%}, give or take {won['error']:.1%}" + (f" (others: {others})." if others else ".")
    )
    if chosen and plan.cell is not None and plan.strategy != TABLE[plan.cell]:
        yield "That goes against the rule, and what was measured counts."


def _work(plan: Plan) -> Iterator[str]:
    minutes = planned_minutes(plan)
    time = "" if minutes is None else f"; here that takes {_time(minutes)}"
    yield f"The plan is {plan.strategy}: {_words(plan.strategy)}{time}."


def _words(strategy: str) -> str:
    return find_strategy(strategy).words


def _time(minutes: float) -> str:
    if minutes < SHORT:
        return "a few seconds"
    return f"about {minutes * 60:.0f} seconds" if minutes < LONG else f"about {minutes:.0f} minutes"
