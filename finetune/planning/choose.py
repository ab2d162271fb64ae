"""Choosing the plan: the user's word first, then the table, then what a race on left-out images says."""

from __future__ import annotations

import time
from dataclasses import replace

from rich.console import Console

from finetune.experiment.setup import Setup
from finetune.planning.cache import keep_plan, recall_plan
from finetune.planning.defaults import could_be, settle
from finetune.planning.forecast import Forecast, as_evidence, forecast_plan, within_budget
from finetune.planning.measure import Evidence, count_images, measure_evidence
from finetune.planning.race.experience import experience
from finetune.planning.race.race import Entry, Race, Say, run_race
from finetune.planning.race.verdict import ROUND_WORTH
from finetune.planning.race.words import as_record, verdict_in_words
from finetune.planning.rate_scale import rate_scale
from finetune.planning.summary import summarise
from finetune.planning.table import TABLE, find_cell
from finetune.records.plan import Cell, Plan
from finetune.runtime.precision import Precision
from finetune.strategies import STRATEGIES, Strategy, find_strategy
from zoo.errors import GraftError

QUIET = Console(quiet=True, force_terminal=False)
NO_SCRATCH = (
    "scratch does not race: a short run says nothing of it, and in the benchmark full, from weights, was "
    "never clearly behind it"
)
Forecasts = dict[str, Forecast]


def choose_plan(setup: Setup, *, compare: bool = False, console: Console = QUIET) -> Plan:
    """The plan for this setup: strategy, what trains, for how long, and why, within the spec's budget.

    Where the strategy is left to `auto` and there are weights to start from, all strategies that start from
    them race, and the console is told how it goes; what was chosen once for the same images, weights and
    spec is not measured again. `compare` tells how long other strategies would take even where the spec
    names one.
    Raises: GraftError when the spec asks for a strategy that needs weights and there are none.
    """
    known = recall_plan(setup, compare=compare)
    if known is not None:
        return known
    start = time.monotonic()
    plan, forecasts = _choose(setup, compare, console)
    precision = None if find_strategy(plan.strategy).probe else plan.precision
    for other in [plan, *(_others(setup, plan.cell, precision=precision).values() if compare else ())]:
        if other.strategy not in forecasts and not find_strategy(other.strategy).probe:
            forecasts[other.strategy] = forecast_plan(setup, other)
    budget = setup.settings.budget_minutes
    if plan.strategy in forecasts and budget is not None:
        spent = 0.0 if precision is None else (time.monotonic() - start) / 60  # a probe's forecast holds it
        plan = within_budget(plan, forecasts[plan.strategy], budget - spent)
    plan = replace(plan, evidence={**plan.evidence, "forecast": as_evidence(forecasts)})
    plan = replace(plan, summary=summarise(plan))
    keep_plan(setup, plan, compare=compare)
    return plan


def _choose(setup: Setup, compare: bool, console: Console) -> tuple[Plan, Forecasts]:
    wanted = setup.settings.strategy
    if setup.origin is None:
        return _without_weights(setup), {}
    if not setup.task.probes:
        usual = "full" if wanted == "auto" else str(wanted)
        reason = f"{setup.task.name} has no frozen features to measure by; {usual} is what is usual"
        rates = _rates(setup, find_strategy(usual))
        return settle(setup, find_strategy(usual), None, (reason,), count_images(setup), rates=rates), {}
    told = wanted in ("auto", "partial") or (compare and find_strategy(wanted).probe)
    evidence = measure_evidence(setup, probes=told)
    cell = find_cell(evidence.images_a_class, evidence.similar)
    if wanted == "auto":
        return _by_race(setup, evidence, cell, console)
    said = f"the spec asks for {wanted}; for {cell[0]}, {cell[1]} data the table says {TABLE[cell]}"
    strategy, reasons = find_strategy(wanted), (*evidence.reasons, said)
    rates = _rates(setup, strategy)
    plan = settle(setup, strategy, cell, reasons, evidence.numbers, depth=evidence.depth, rates=rates)
    return plan, {name: value for name, value in evidence.forecasts.items() if name == wanted}


def _without_weights(setup: Setup) -> Plan:
    wanted = setup.settings.strategy
    if wanted not in ("auto", "scratch"):
        raise GraftError(
            f"finetune.strategy: {wanted} needs pretrained weights, and there are none: {setup.no_weights}\n"
            "  expected: weights to start from, or finetune.strategy=scratch"
        )
    reason = f"no pretrained weights ({setup.no_weights}), so the network is trained from scratch"
    return settle(setup, find_strategy("scratch"), None, (reason,), count_images(setup))


def race_strategies(
    setup: Setup, evidence: Evidence, cell: Cell, *, worth: float = ROUND_WORTH, say: Say = print
) -> tuple[Race, dict[str, Plan], Forecasts]:
    """The race of all that starts from weights; the plans of what trains by gradient; what each would take.

    In: `worth` as run_race has it.
    """
    probes = [name for name in evidence.hits if could_be(setup, find_strategy(name))]
    plans = _others(setup, cell, depth=evidence.depth)
    forecasts = {name: evidence.forecasts[name] for name in probes}
    forecasts |= {name: forecast_plan(setup, plan) for name, plan in plans.items()}
    budget = setup.settings.budget_minutes
    fitting = [name for name in probes if budget is None or forecasts[name].minutes <= budget] or probes[:1]
    race = run_race(
        evidence.sampled(setup),
        experience(cell[1]),
        evidence.hits,
        [Entry(plan, forecasts[name]) for name, plan in plans.items() if find_strategy(name).pretrained],
        probes=fitting,
        budget_minutes=budget,
        worth=worth,
        say=say,
    )
    dear = (name for name in probes if name not in fitting)
    return replace(race, left_out=(*dear, *race.left_out)), plans, forecasts


def _by_race(setup: Setup, evidence: Evidence, cell: Cell, console: Console) -> tuple[Plan, Forecasts]:
    """The plan of the strategy that wins the race, and how long each would take."""
    race, plans, forecasts = race_strategies(setup, evidence, cell, say=console.print)
    name = race.winner
    plan = plans[name] if name in plans else settle(setup, find_strategy(name), cell, (), {})
    words = verdict_in_words(race, TABLE[cell], cell)
    numbers = {**plan.evidence, **evidence.numbers, "race": as_record(race)}
    reasons = (*evidence.reasons, *plan.reasons, *words, NO_SCRATCH)
    return replace(plan, reasons=reasons, evidence=numbers), forecasts


def _others(
    setup: Setup, cell: Cell | None, *, precision: Precision | None = None, depth: int | None = None
) -> dict[str, Plan]:
    """Every strategy that trains by gradient and could be had here, all in one precision."""
    plans: dict[str, Plan] = {}
    rates = _rates(setup, find_strategy("full"))
    for strategy in STRATEGIES.values():
        if not strategy.probe and could_be(setup, strategy):
            found = settle(setup, strategy, cell, (), {}, precision=precision, depth=depth, rates=rates)
            precision, plans[strategy.name] = found.precision, found
    return plans


def _rates(setup: Setup, strategy: Strategy) -> float:
    """What the default learning rates are multiplied by, where they are left to `auto` and it matters."""
    settings = setup.settings
    fitted = setup.origin is not None and strategy.pretrained and not strategy.probe
    if not fitted or settings.learning_rate != "auto" or settings.optimizer.op != "sgd":
        return 1.0
    return rate_scale(setup)
