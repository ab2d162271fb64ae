"""What a plan and a report say in words."""

from __future__ import annotations

from finetune.outcome import compare_outcome, outcome_in_words
from finetune.plan import SIMILARITIES, SIZES, Plan
from finetune.precision import EXACT
from finetune.summary import summarise

SCORES = {
    "linear_probe": {"images": 80, "expected": {"value": 0.80, "error": 0.02}},
    "full": {"images": 40, "expected": {"value": 0.93, "error": 0.01}},
}


def plan(strategy: str, cell: tuple[str, str] | None, **evidence: object) -> Plan:
    return Plan(strategy, ("",), "fresh", 10, 64, 0.1, EXACT, cell, (), {"median_class": 126.5, **evidence})


def test_a_plan_that_goes_against_the_table_says_so() -> None:
    forecast = {"full": {"epochs": 10, "images_per_s": 300.0, "minutes": 0.5}}
    text = summarise(plan("full", (SIZES[0], SIMILARITIES[0]), race={"scores": SCORES}, forecast=forecast))
    assert "About 126 images a class are very little data, and they are much like" in text
    assert "full is expected to be right on 93.0%, give or take 1.0% (others: linear_probe 80.0%)" in text
    assert "goes against the rule" in text
    assert text.endswith("The plan is full: every stage fine-tuned; here that takes about 30 seconds.")


def test_a_plan_that_agrees_does_not() -> None:
    text = summarise(plan("full", (SIZES[1], SIMILARITIES[1]), race={"scores": SCORES}))
    assert "already quite a lot of data, and they are unlike" in text
    assert "against" not in text


def test_without_weights_there_is_nothing_to_compare() -> None:
    forecast = {"scratch": {"epochs": 10, "images_per_s": 300.0, "minutes": 12.3}}
    text = summarise(plan("scratch", None, forecast=forecast))
    assert text.startswith("There are no pretrained weights")
    assert text.endswith("about 12 minutes.")


def test_a_prediction_stands_beside_what_came() -> None:
    forecast = {"full": {"epochs": 20, "images_per_s": 300.0, "minutes": 2.0}}
    made = plan("full", None, race={"scores": SCORES}, forecast=forecast)
    outcome = compare_outcome(made, {"metrics": {"accuracy": 0.95}}, 1.25)
    assert outcome == {
        "minutes": {"predicted": 1.0, "came": 1.25},  # ten of the twenty epochs that were reckoned with
        "accuracy": {"predicted": {"value": 0.93, "error": 0.01}, "came": 0.95},
    }
    assert outcome_in_words(outcome) == (
        "predicted: accuracy 0.930 ± 0.010 (came 0.950), 1 minutes of training (came 1.25)"
    )


def test_what_was_not_predicted_is_not_compared() -> None:
    assert compare_outcome(plan("full", None), {"metrics": {"accuracy": 0.95}}, 1.0) == {}
    assert outcome_in_words({}) == ""
