"""A plan that the user gives back, as `make plan` or a run wrote it, and perhaps edited."""

from __future__ import annotations

from pathlib import Path

from finetune.plan import Plan, read_plan
from finetune.setup import Setup
from finetune.strategies import find_strategy
from zoo.errors import GraftError


def given_plan(setup: Setup, path: str) -> Plan:
    """The plan at `path`, if this setup can carry it out.

    Raises: GraftError for a file that is no plan, and for one that names what this run has not.
    """
    plan = read_plan(Path(path).expanduser())
    where = f"finetune.plan: {path}"
    strategy = find_strategy(plan.strategy)
    if strategy.pretrained and setup.origin is None:
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
    for name, least in (("epochs", 1), ("batch_size", 1), ("learning_rate", 0)):
        if getattr(plan, name) < least:
            raise GraftError(f"{where}: {name} is {getattr(plan, name)}; expected at least {least}")
    return plan
