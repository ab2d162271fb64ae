"""A plan that the user gives back, as `make plan` or a run wrote it, perhaps edited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console

import zoo
from files.paths import expand_home
from finetune.experiment.setup import Setup
from finetune.planning.choose import choose_plan
from finetune.planning.summary import summarise
from finetune.records.plan import Plan, read_plan
from finetune.strategies import STRATEGIES, find_strategy
from zoo.errors import GraftError

WHOLE = ("",)
GIVEN = "given plan: "
"""Begins the reasons that are not the plan's own."""


def load_plan(setup: Setup, console: Console) -> Plan:
    """Return the plan that the spec names, or else choose one. Raises: as read_given_plan and choose_plan."""
    given = setup.settings.plan
    return choose_plan(setup, console=console) if given is None else read_given_plan(setup, given)


def read_given_plan(setup: Setup, path: str) -> Plan:
    """Read the plan at `path` and check that this setup can follow it.

    The summary is written anew, and the reasons say where the plan does not fit the data or the spec.
    Raises: GraftError for a file that is not a plan, for a plan that the network, the task or the weights do
    not allow, and where the strategy does not fit what trains.
    """
    plan = read_plan(expand_home(path))
    where = f"finetune.plan: {path}"
    if plan.strategy not in STRATEGIES:
        raise GraftError(
            f"{where}: strategy {plan.strategy!r} is unknown; expected one of: {', '.join(STRATEGIES)}"
        )
    strategy = find_strategy(plan.strategy)
    if strategy.probe and not setup.task.probes:
        raise GraftError(
            f"{where}: {strategy.name} classifies images, and the spec's task is {setup.task.name}"
        )
    if strategy.pretrained and setup.origin is None:
        raise GraftError(
            f"{where}: {strategy.name} needs pretrained weights, and there are none: {setup.no_weights}"
        )
    modules = {name for name, _ in setup.net.named_modules()}
    unknown = [module for module in plan.trains if module not in modules]
    if unknown:
        raise GraftError(
            f"{where}: trains names '{unknown[0]}', and {setup.spec.name} has no module of that path\n"
            f"  expected: paths such as {', '.join((*setup.anatomy.stages[-2:], setup.anatomy.head))}"
        )
    _check_strategy(setup, plan, where)
    own = (reason for reason in plan.reasons if not reason.startswith(GIVEN))
    plan = replace(plan, reasons=(*(GIVEN + reason for reason in _find_mismatches(setup, plan)), *own))
    return replace(plan, summary=summarise(plan))


def _check_strategy(setup: Setup, plan: Plan, where: str) -> None:
    """Raises: GraftError where the strategy was edited and what trains was not, or the other way round."""
    strategy, head = find_strategy(plan.strategy), setup.anatomy.head
    if strategy.uses_depth:
        fits, expected = plan.trains not in ((), WHOLE), f"some modules, such as {head}"
    else:
        stages = list(zoo.stage_parts(setup.net, setup.anatomy).values())
        trains = strategy.trains(head, stages, 0)
        fits, expected = plan.trains == trains, _format_modules(trains)
    instead = f"or finetune.strategy={plan.strategy} in place of the plan, for the values that go with it"
    if not fits:
        raise GraftError(
            f"{where}: strategy is {plan.strategy}, and trains holds {_format_modules(plan.trains)}\n"
            f"  expected: {expected}; {instead}"
        )
    if not strategy.probe and not plan.learning_rate:
        raise GraftError(
            f"{where}: strategy is {plan.strategy}, and learning_rate is 0, with which nothing is learned\n"
            f"  expected: epochs, batch_size and a learning_rate above 0; {instead}"
        )


def _format_modules(trains: tuple[str, ...]) -> str:
    if not trains:
        return "nothing"
    return ", ".join(f"{part!r}" if part else "'', the whole network" for part in trains)


def _find_mismatches(setup: Setup, plan: Plan) -> Iterator[str]:
    """Say where the plan was made for other images, and which keys of the spec it overrides."""
    settings, images, here = setup.settings, plan.evidence.images, len(setup.splits.train)
    if images != here:
        yield f"it was made for {images} training images, and there are {here} now: its numbers are for those"
    if settings.strategy not in ("auto", plan.strategy):
        yield f"the spec says {settings.strategy}, the plan {plan.strategy}: the plan is followed"
    if settings.budget_minutes is not None:
        yield "it is followed as it is: finetune.budget_minutes has no effect"
