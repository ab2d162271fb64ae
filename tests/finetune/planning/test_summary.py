"""What a plan and a report say in words."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from finetune.planning.summary import summarise
from finetune.records.plan import SIMILARITIES, SIZES, Plan
from finetune.report.outcome import compare_outcome, outcome_in_words
from finetune.report.show import show_plan
from finetune.runtime.precision import EXACT

SCORES = {
    "linear_probe": {"images": 80, "expected": {"value": 0.80, "error": 0.02}},
    "full": {"images": 40, "expected": {"value": 0.93, "error": 0.01}},
}


def plan(strategy: str, cell: tuple[str, str] | None, **evidence: object) -> Plan:
    return Plan(strategy, ("",), "fresh", 10, 64, 0.1, EXACT, cell, (), {"median_class": 126.5, **evidence})


def test_a_plan_that_goes_against_the_table_says_so() -> None:
    forecast = {"full": {"epochs": 10, "images_per_s": 300.0, "minutes": 0.5}}
    text = summarise(
        plan(
            "full", (SIZES[0], SIMILARITIES[0]), race={"winner": "full", "scores": SCORES}, forecast=forecast
        )
    )
    assert "About 126 images a class are very little data, and they are much like" in text
    assert "full is expected to be right on 93.0%, give or take 1.0% (others: linear_probe 80.0%)" in text
    assert "goes against the rule" in text
    assert text.endswith("The plan is full: every stage fine-tuned; here that takes about 30 seconds.")


def test_a_plan_that_was_edited_counts_for_no_measurement() -> None:
    race = {"winner": "linear_probe", "scores": SCORES, "blind": True}
    text = summarise(plan("full", (SIZES[0], SIMILARITIES[0]), race=race))
    assert "full is expected to be right on 93.0%" in text
    assert "against the rule" not in text
    assert "cheapest" not in text


def test_the_time_is_that_of_the_epochs_that_are_left() -> None:
    forecast = {"full": {"epochs": 40, "images_per_s": 300.0, "minutes": 8.0}}
    assert summarise(plan("full", None, forecast=forecast)).endswith("here that takes about 2 minutes.")


def test_a_plan_that_agrees_does_not() -> None:
    text = summarise(plan("full", (SIZES[1], SIMILARITIES[1]), race={"winner": "full", "scores": SCORES}))
    assert "already quite a lot of data, and they are unlike" in text
    assert "against" not in text


def test_where_nothing_beats_guessing_that_is_said() -> None:
    text = summarise(
        plan("full", (SIZES[0], SIMILARITIES[0]), race={"winner": "full", "scores": SCORES, "blind": True})
    )
    assert "Nothing that was tried is clearly better than guessing" in text
    assert "expected to be right" not in text
    assert "against the rule" not in text


def test_reasons_are_shown_as_they_are() -> None:
    console = Console(width=200)
    with console.capture() as captured:
        show_plan(replace(plan("full", None), reasons=("see [/bold] and [red]",), summary="[/x]"), console)
    assert "• see [/bold] and [red]" in captured.get()
    assert "10 epochs at most" in captured.get()
    with console.capture() as captured:
        show_plan(plan("linear_probe", None), console)
    assert "epochs" not in captured.get()


def test_without_weights_there_is_nothing_to_compare() -> None:
    forecast = {"scratch": {"epochs": 10, "images_per_s": 300.0, "minutes": 12.3}}
    text = summarise(plan("scratch", None, forecast=forecast))
    assert text.startswith("There are no pretrained weights")
    assert text.endswith("about 12 minutes.")


def test_a_prediction_stands_beside_what_came() -> None:
    forecast = {"full": {"epochs": 20, "images_per_s": 300.0, "minutes": 2.0}}
    made = plan("full", None, race={"winner": "full", "scores": SCORES}, forecast=forecast)
    outcome = compare_outcome(made, {"metrics": {"accuracy": 0.95}}, 1.25)
    assert outcome == {
        "minutes": {"predicted": 1.0, "came": 1.25},  # ten of the twenty epochs that were reckoned with
        "accuracy": {"predicted": {"value": 0.93, "error": 0.01}, "came": 0.95},
    }
    assert outcome_in_words(outcome) == (
        "predicted: accuracy 0.930 ± 0.010 (came 0.950), 1 minutes of training (came 1.25)"
    )


def test_epochs_are_nothing_to_a_probe() -> None:
    forecast = {"linear_probe": {"epochs": 1, "images_per_s": 300.0, "minutes": 0.5}}
    made = plan("linear_probe", None, forecast=forecast, race={"winner": "linear_probe", "scores": SCORES})
    assert compare_outcome(made, {"metrics": {}}, 0.4) == {"minutes": {"predicted": 0.5, "came": 0.4}}


def test_what_was_not_predicted_is_not_compared() -> None:
    assert compare_outcome(plan("full", None), {"metrics": {"accuracy": 0.95}}, 1.0) == {}
    assert outcome_in_words({}) == ""
