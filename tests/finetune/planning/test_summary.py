"""What a plan and a report say in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from finetune.planning.summary import format_plan, summarise
from finetune.records.estimate import Estimate
from finetune.records.evidence import Evidence, Forecast, RaceResult, RaceScore
from finetune.records.plan import SIMILARITIES, SIZES, Plan
from finetune.runtime.precision import EXACT

SCORES = {
    "linear_probe": RaceScore(None, 80, Estimate(0.80, 0.02), Estimate(-0.13, 0.02)),
    "full": RaceScore(None, 40, Estimate(0.93, 0.01), Estimate(0.0, 0.0)),
}


def race_won_by(winner: str, *, at_chance: bool = False) -> RaceResult:
    return RaceResult(winner, at_chance, 1, 1.0, (), SCORES)


def plan(
    strategy: str,
    cell: tuple[str, str] | None,
    race: RaceResult | None = None,
    forecasts: Mapping[str, Forecast] | None = None,
) -> Plan:
    evidence = Evidence(300, 100, 126.5, race=race, forecasts=forecasts or {})
    return Plan(strategy, ("",), "fresh", 10, 64, 0.1, EXACT, cell, (), evidence)


def test_a_plan_that_differs_from_the_table_says_so() -> None:
    forecast = {"full": Forecast(10, 300.0, 0.5)}
    text = summarise(plan("full", (SIZES[0], SIMILARITIES[0]), race=race_won_by("full"), forecasts=forecast))
    assert "About 126 images per class are very little data, and the images are similar to" in text
    assert "full is expected to reach 93.0% ± 1.0 (others: linear_probe 80.0%)" in text
    assert "differs from the usual strategy" in text
    assert text.endswith(
        "The plan is full: all layers of the pretrained network learn. It takes about 30 seconds here."
    )


def test_a_plan_that_was_edited_counts_for_no_measurement() -> None:
    race = race_won_by("linear_probe", at_chance=True)
    text = summarise(plan("full", (SIZES[0], SIMILARITIES[0]), race=race))
    assert "full is expected to reach 93.0% ± 1.0" in text
    assert "differs from the usual" not in text
    assert "cheapest" not in text


def test_the_time_is_that_of_the_epochs_that_are_left() -> None:
    forecast = {"full": Forecast(40, 300.0, 8.0)}
    assert summarise(plan("full", None, forecasts=forecast)).endswith("It takes about 2 minutes here.")


def test_a_plan_that_agrees_does_not() -> None:
    text = summarise(plan("full", (SIZES[1], SIMILARITIES[1]), race=race_won_by("full")))
    assert "already quite a lot of data, and the images are different from" in text
    assert "differs" not in text


def test_a_summary_says_that_nothing_beats_guessing() -> None:
    text = summarise(plan("full", (SIZES[0], SIMILARITIES[0]), race=race_won_by("full", at_chance=True)))
    assert "No strategy is clearly better than guessing" in text
    assert "expected to reach" not in text
    assert "differs from the usual" not in text


def test_without_weights_there_is_nothing_to_compare() -> None:
    forecast = {"scratch": Forecast(10, 300.0, 12.3)}
    text = summarise(plan("scratch", None, forecasts=forecast))
    assert text.startswith("There are no pretrained weights")
    assert text.endswith("about 12 minutes here.")


def test_a_plan_is_one_sentence() -> None:
    forecast = {"full": Forecast(10, 300.0, 0.5)}
    assert format_plan(plan("full", None, race_won_by("full"), forecast)) == (
        "all layers of the pretrained network learn (full), in at most 10 passes over the images; "
        "this takes about 30 seconds. Expected: 93% of new images recognised"
    )
    assert "(full), in one pass over the images" in format_plan(replace(plan("full", None), epochs=1))
    text = format_plan(plan("linear_probe", None, forecasts={"linear_probe": Forecast(1, 300.0, 3)}))
    assert text.endswith("(linear_probe); measuring and training take about 3 minutes")
    text = format_plan(plan("linear_probe", None, race_won_by("linear_probe", at_chance=True)))
    assert text.endswith(
        "(linear_probe). In short trials nothing was clearly better than guessing: check the labels"
    )
