"""A plan as one sentence, and as one paragraph."""

from __future__ import annotations

from collections.abc import Iterator

from finetune.planning.table import TABLE
from finetune.records.plan import SIZES, Plan
from finetune.runtime.console_text import format_minutes
from finetune.strategies import find_strategy


def summarise(plan: Plan) -> str:
    """Return the paragraph: the data, the usual strategy, the race, and the plan."""
    return " ".join([*_describe_data(plan), *_describe_race(plan), *_describe_work(plan)])


def format_plan(plan: Plan) -> str:
    """Return the plan as one sentence: what learns, for how long, and what is expected of it."""
    strategy, race = find_strategy(plan.strategy), plan.evidence.race
    passes = "one pass" if plan.epochs == 1 else f"at most {plan.epochs} passes"
    length = "" if strategy.probe else f", in {passes} over the images"
    verb = "measuring and training take" if strategy.probe else "this takes"
    time = "" if plan.minutes is None else f"; {verb} {format_minutes(plan.minutes)}"
    expected = ""
    if race is not None and race.at_chance and race.winner == plan.strategy:
        expected = ". In short trials nothing was clearly better than guessing: check the labels"
    elif race is not None and plan.strategy in race.scores:
        value = race.scores[plan.strategy].expected.value
        expected = f". Expected: {value:.0%} of new images recognised"
    return f"{strategy.description} ({plan.strategy}){length}{time}{expected}"


def _describe_data(plan: Plan) -> Iterator[str]:
    if plan.cell is None:
        yield "There are no pretrained weights to compare the images with."
        return
    size, similarity = plan.cell
    usual = TABLE[plan.cell]
    relation = "similar to" if similarity == "similar" else "different from"
    amount = size if size == SIZES[0] else f"already {size}"
    yield (
        f"About {plan.evidence.median_class:.0f} images per class are {amount}, and the images are "
        f"{relation} what the weights were trained on. "
        f"The usual strategy is {usual}: {find_strategy(usual).description}."
    )


def _describe_race(plan: Plan) -> Iterator[str]:
    race = plan.evidence.race
    if race is None or plan.strategy not in race.scores:
        return
    chosen = race.winner == plan.strategy  # else the plan was edited
    if race.at_chance and chosen:
        yield (
            "No strategy is clearly better than guessing, so the cheapest is chosen. "
            "Check that the labels are right and that the images show what they name."
        )
        return
    score = race.scores[plan.strategy]
    basis = (
        "After a trial on held-out images"
        if score.images
        else "From the linear classifiers and the benchmark on such data"
    )
    others = ", ".join(
        f"{name} {other.expected.value:.1%}" for name, other in race.scores.items() if name != plan.strategy
    )
    yield (
        f"{basis}, {plan.strategy} is expected to reach {score.expected.percent}"
        + (f" (others: {others})." if others else ".")
    )
    if chosen and plan.cell is not None and plan.strategy != TABLE[plan.cell]:
        yield "This differs from the usual strategy; the measurement decides."


def _describe_work(plan: Plan) -> Iterator[str]:
    time = "" if plan.minutes is None else f" It takes {format_minutes(plan.minutes)} here."
    yield f"The plan is {plan.strategy}: {find_strategy(plan.strategy).description}.{time}"
