"""Choosing the plan: by the spec, or by a race between the strategies on held-out images."""

from __future__ import annotations

import time
from dataclasses import replace

from rich.console import Console

from finetune.experiment.setup import Setup
from finetune.planning.cache import load_cached_plan, save_cached_plan
from finetune.planning.defaults import is_possible, resolve_defaults
from finetune.planning.evidence import Measurements, count_images, measure_evidence
from finetune.planning.forecast import cut_to_budget, forecast_plan
from finetune.planning.race.decision import MIN_ROUND_GAIN
from finetune.planning.race.describe import describe_race, summarise_race
from finetune.planning.race.prior import read_prior
from finetune.planning.race.race import Contender, Log, Race, run_race
from finetune.planning.rate_scale import Rates
from finetune.planning.summary import summarise
from finetune.planning.table import TABLE, WITHOUT_FEATURES, WITHOUT_WEIGHTS, find_cell
from finetune.records.evidence import Forecast
from finetune.records.plan import Cell, Plan
from finetune.runtime.console import QUIET, details
from finetune.strategies import STRATEGIES, find_strategy
from zoo.errors import GraftError


def choose_plan(setup: Setup, *, compare: bool = False, console: Console = QUIET) -> Plan:
    """Choose the plan: strategy, what learns, for how long, and why, within the spec's budget.

    Where the strategy is `auto` and there are pretrained weights, the strategies that start from them race,
    and the console shows how it goes. A plan that was chosen before for the same images, weights and spec is
    read from the cache. `compare` forecasts the time of the other strategies even where the spec names one.
    Raises: GraftError when the spec asks for a strategy that needs weights and there are none.
    """
    cached = load_cached_plan(setup, compare=compare)
    if cached is not None:
        return cached
    start = time.monotonic()
    plan = _add_forecasts(setup, _choose(setup, compare, console), compare=compare)
    forecast, budget = plan.evidence.forecasts.get(plan.strategy), setup.settings.budget_minutes
    if forecast is not None and budget is not None:
        probe = find_strategy(plan.strategy).probe  # whose forecast includes what was measured
        plan = cut_to_budget(plan, forecast, budget - (0.0 if probe else (time.monotonic() - start) / 60))
    plan = replace(plan, summary=summarise(plan))
    save_cached_plan(setup, plan, compare=compare)
    return plan


def race_strategies(
    setup: Setup,
    measured: Measurements,
    cell: Cell,
    rates: Rates,
    *,
    min_gain: float = MIN_ROUND_GAIN,
    log: Log = print,
) -> tuple[Race, dict[str, Plan], dict[str, Forecast]]:
    """Race the strategies that start from pretrained weights.

    In: `min_gain` as in run_race. Out: the race; the plans of the strategies that train by gradient; the
    forecasts of the probes, and of all that race where there is a budget: timing them takes long.
    """
    probes = [name for name in measured.correct if is_possible(setup, find_strategy(name))]
    plans = _gradient_plans(setup, cell, depth=measured.depth)
    forecasts = {name: measured.forecasts[name] for name in probes}
    racing = {name: plan for name, plan in plans.items() if not find_strategy(name).outside_race}
    budget, affordable = setup.settings.budget_minutes, probes
    if budget is not None:
        forecasts |= {name: forecast_plan(setup, plan) for name, plan in racing.items()}
        affordable = [name for name in probes if forecasts[name].minutes <= budget] or probes[:1]
    race = run_race(
        measured.sample(setup),
        read_prior(measured.drift, median_class=measured.evidence.median_class),
        measured.correct,
        [Contender(plan, forecasts.get(name)) for name, plan in racing.items()],
        probes=affordable,
        budget_minutes=budget,
        min_gain=min_gain,
        prepare=rates.suit,
        log=log,
    )
    too_slow = (name for name in probes if name not in affordable)
    return replace(race, left_out=(*too_slow, *race.left_out)), plans, forecasts


def _choose(setup: Setup, compare: bool, console: Console) -> Plan:
    requested: str = setup.settings.strategy
    if setup.origin is None:
        return _plan_without_weights(setup)
    if not setup.task.probes:
        strategy = find_strategy(WITHOUT_FEATURES if requested == "auto" else requested)
        reason = f"similarity is not measured for {setup.task.name}; the usual strategy is {strategy.name}"
        return Rates(setup).suit(resolve_defaults(setup, strategy, None, (reason,), count_images(setup)))
    chosen = None if requested == "auto" else find_strategy(requested)
    probes = chosen is None or chosen.uses_depth or (compare and chosen.probe)
    measured = measure_evidence(setup, probes=probes)
    cell = find_cell(measured.evidence.median_class, measured.similar)
    if chosen is None:
        return _plan_by_race(setup, measured, cell, console)
    reason = f"the spec asks for {requested}; for {cell[0]}, {cell[1]} data the table says {TABLE[cell]}"
    forecasts = {name: forecast for name, forecast in measured.forecasts.items() if name == requested}
    evidence = replace(measured.evidence, forecasts=forecasts)
    reasons = (*measured.reasons, reason)
    plan = resolve_defaults(setup, chosen, cell, reasons, evidence, depth=measured.depth)
    return Rates(setup).suit(plan)


def _plan_without_weights(setup: Setup) -> Plan:
    name = setup.settings.strategy
    strategy = find_strategy(WITHOUT_WEIGHTS if name == "auto" else name)
    if strategy.pretrained:
        raise GraftError(
            f"finetune.strategy: {name} needs pretrained weights, and there are none: {setup.no_weights}\n"
            f"  expected: weights to start from, or finetune.strategy={WITHOUT_WEIGHTS}"
        )
    reason = f"no pretrained weights ({setup.no_weights}), so the network is trained from scratch"
    return resolve_defaults(setup, strategy, None, (reason,), count_images(setup))


def _plan_by_race(setup: Setup, measured: Measurements, cell: Cell, console: Console) -> Plan:
    """Return the plan of the strategy that wins the race."""
    rates = Rates(setup)
    race, plans, forecasts = race_strategies(setup, measured, cell, rates, log=details(console).print)
    winner, evidence = find_strategy(race.winner), measured.evidence
    plan = rates.suit(plans.get(winner.name) or resolve_defaults(setup, winner, cell, (), evidence))
    outside = (
        f"{name} does not race: {strategy.outside_race}"
        for name, strategy in STRATEGIES.items()
        if strategy.outside_race
    )
    reasons = (*measured.reasons, *plan.reasons, *describe_race(race, TABLE[cell], cell), *outside)
    evidence = replace(
        evidence,
        rate_scale=plan.evidence.rate_scale,
        forecasts=forecasts,
        race=summarise_race(race),
    )
    return replace(plan, reasons=reasons, evidence=evidence)


def _add_forecasts(setup: Setup, plan: Plan, *, compare: bool) -> Plan:
    """Forecast the plan, and with `compare` every other strategy that trains by gradient."""
    forecasts = dict(plan.evidence.forecasts)
    others = _gradient_plans(setup, plan.cell).values() if compare else ()
    for other in (plan, *others):
        if other.strategy not in forecasts and not find_strategy(other.strategy).probe:
            forecasts[other.strategy] = forecast_plan(setup, other)
    return replace(plan, evidence=replace(plan.evidence, forecasts=forecasts))


def _gradient_plans(setup: Setup, cell: Cell | None, *, depth: int | None = None) -> dict[str, Plan]:
    """Return the plan of every possible strategy that trains by gradient."""
    plans: dict[str, Plan] = {}
    for strategy in STRATEGIES.values():
        if not strategy.probe and is_possible(setup, strategy):
            plans[strategy.name] = resolve_defaults(
                setup, strategy, cell, (), count_images(setup), depth=depth
            )
    return plans
