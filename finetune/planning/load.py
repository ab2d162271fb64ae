"""A plan that the user gives back, as `make plan` or a run wrote it, and perhaps edited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from finetune.experiment.setup import Setup
from finetune.planning.choose import choose_plan
from finetune.planning.summary import summarise
from finetune.records.plan import Plan
from finetune.records.plan_file import read_plan
from finetune.strategies import STRATEGIES, find_strategy
from zoo.errors import GraftError

WHOLE = ("",)
GIVEN = "a plan given back: "
"""Begins the reasons that are not the plan's own."""


def settle_plan(setup: Setup, console: Console) -> Plan:
    """The plan that the spec names, or else the one that is chosen here. Raises: as both."""
    given = setup.settings.plan
    return choose_plan(setup, console=console) if given is None else given_plan(setup, given)


def given_plan(setup: Setup, path: str) -> Plan:
    """The plan at `path`, if this setup can carry it out, summed up anew; its reasons say what it is not for.

    Raises: GraftError for a file that is no plan, and for one that names what this run has not, or whose
    strategy does not go with what trains.
    """
    plan = read_plan(Path(path).expanduser())
    where = f"finetune.plan: {path}"
    if plan.strategy not in STRATEGIES:
        raise GraftError(
            f"{where}: strategy {plan.strategy!r} is unknown; expected one of: {', '.join(STRATEGIES)}"
        )
    if find_strategy(plan.strategy).probe and not setup.task.probes:
        raise GraftError(
            f"{where}: {plan.strategy} classifies images, and the spec's task is {setup.task.name}"
        )
    if find_strategy(plan.strategy).pretrained and setup.origin is None:
        raise GraftError(
            f"{where}: {plan.strategy} needs pretrained weights, and there are none: {setup.no_weights}"
        )
    modules = {name for name, _ in setup.net.named_modules()}
    strange = [module for module in plan.trains if module not in modules]
    if strange:
        raise GraftError(
            f"{where}: trains names '{strange[0]}', and {setup.spec.name} has no module of that path\n"
            f"  expected: paths such as {', '.join((*setup.anatomy.stages[-2:], setup.anatomy.head))}"
        )
    _check_strategy(setup, plan, where)
    own = (reason for reason in plan.reasons if not reason.startswith(GIVEN))
    plan = replace(plan, reasons=(*(GIVEN + said for said in _reservations(setup, plan)), *own))
    return replace(plan, summary=summarise(plan))


def _check_strategy(setup: Setup, plan: Plan, where: str) -> None:
    """Raises: GraftError where one was edited and the other was not."""
    strategy, head = find_strategy(plan.strategy), setup.anatomy.head
    if strategy.name == "partial":
        fits, expected = plan.trains not in ((), WHOLE), f"some modules, such as {head}"
    else:
        wanted = strategy.trains(head, (), 0)
        fits, expected = plan.trains == wanted, _in_words(wanted)
    instead = (
        f"or finetune.strategy={plan.strategy} in place of the plan, which settles all that goes with it"
    )
    if not fits:
        raise GraftError(
            f"{where}: strategy is {plan.strategy}, and trains holds {_in_words(plan.trains)}\n"
            f"  expected: {expected}; {instead}"
        )
    if not strategy.probe and not plan.learning_rate:
        raise GraftError(
            f"{where}: strategy is {plan.strategy}, and learning_rate is 0, with which nothing is learned\n"
            f"  expected: epochs, batch_size and a learning_rate above 0; {instead}"
        )


def _in_words(trains: tuple[str, ...]) -> str:
    if not trains:
        return "nothing"
    return ", ".join(f"{part!r}" if part else "'', the whole network" for part in trains)


def _reservations(setup: Setup, plan: Plan) -> Iterator[str]:
    """What the plan was not made for, and what the spec says that it goes over."""
    settings, images, here = setup.settings, plan.evidence.get("images"), len(setup.splits.train)
    if images is not None and images != here:
        yield f"it was made for {images} training images, and here are {here}: its numbers are of those"
    if settings.strategy not in ("auto", plan.strategy):
        yield f"the spec says {settings.strategy}, the plan {plan.strategy}: the plan counts"
    if settings.budget_minutes is not None:
        yield "it is carried out as it stands: finetune.budget_minutes has no say in it"
