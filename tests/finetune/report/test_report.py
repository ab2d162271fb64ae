"""The report of a run: predictions beside results, one schema for writing and reading, how it is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from finetune.records.estimate import Estimate
from finetune.records.evidence import Evidence, Forecast, RaceResult, RaceScore
from finetune.records.plan import Plan
from finetune.records.report import (
    BrokenFile,
    Export,
    NoWeights,
    Outcome,
    PredictedAccuracy,
    PredictedMinutes,
    Report,
    SplitSizes,
    StartingWeights,
    add_export,
    read_report,
    write_report,
)
from finetune.records.run_folder import RunFolder
from finetune.records.training import EnsembleTraining, GradientTraining, Member
from finetune.report.report import compare_outcome
from finetune.report.show import format_outcome, format_result, show_plan, show_report
from finetune.runtime.console import Terminal
from finetune.runtime.precision import EXACT
from zoo.errors import GraftError

SCORE = RaceScore(None, 50, Estimate(0.93, 0.01), Estimate(0.0, 0.0))
REPORT = Report(
    spec="small",
    task="classification",
    strategy="full",
    images=SplitSizes(60, 20, 20),
    measured_on="test",
    metrics={"accuracy": 0.75, "calibration_error": math.nan},
    classes={"[red]": {"recall": 0.5}, "b": {"recall": 1.0}},
    confusion=((5, 5), (0, 10)),
    training=EnsembleTraining(
        "average", (GradientTraining(3, 2, 30),), (Member(0.7, epoch=2), Member(0.6, epoch=1)), 0.8
    ),
    remarks=(),
    weights=NoWeights("small declares none"),
    broken=(BrokenFile("a.png", "cut short"),),
    warnings=("see",),
    outcome=Outcome(PredictedAccuracy(Estimate(0.7, 0.05), 0.75)),
    exports={"onnx": Export("model.onnx", "20 images agree", {"images": 20})},
)


def make_plan(
    strategy: str, race: RaceResult | None = None, forecasts: Mapping[str, Forecast] | None = None
) -> Plan:
    evidence = Evidence(300, 100, 126.5, race=race, forecasts=forecasts or {})
    return Plan(strategy, ("",), "fresh", 10, 64, 0.1, EXACT, None, ("see [/bold]",), evidence, "[/x]")


def test_predictions_are_compared_with_the_results() -> None:
    race = RaceResult("full", False, 1, 1.0, (), {"full": SCORE})
    plan = make_plan("full", race, {"full": Forecast(20, 300.0, 2.0)})
    outcome = compare_outcome(plan, 0.95, 1.25)
    assert outcome == Outcome(
        PredictedAccuracy(Estimate(0.93, 0.01), 0.95),
        PredictedMinutes(1.0, 1.25),  # ten of the twenty epochs of the forecast
    )
    assert format_outcome(outcome) == (
        "predicted accuracy 0.930 ± 0.010, actual 0.950; training time 1 minutes, actual 1.25"
    )
    assert compare_outcome(plan, None, None) == compare_outcome(make_plan("full"), 0.95, 1.0) == Outcome()
    assert format_outcome(Outcome()) == ""


def test_the_epochs_of_a_plan_do_not_matter_to_a_probe() -> None:
    plan = make_plan("linear_probe", forecasts={"linear_probe": Forecast(1, 300.0, 0.5)})
    outcome = compare_outcome(plan, None, 0.4)
    assert outcome.minutes == PredictedMinutes(0.5, 0.4)


@pytest.mark.parametrize(
    "report",
    [REPORT, replace(REPORT, weights=StartingWeights("default", "here", "MIT", "0" * 64, None))],
)
def test_a_report_is_read_as_it_was_written(report: Report, tmp_path: Path) -> None:
    write_report(RunFolder(tmp_path), report)
    assert str(read_report(RunFolder(tmp_path))) == str(report)  # as text, since nan differs from itself
    (tmp_path / "model.bin").write_bytes(b"a model")
    add_export(RunFolder(tmp_path), "other", Export("model.bin", "unchecked"))
    assert list(read_report(RunFolder(tmp_path)).exports) == ["onnx", "other"]


def test_a_damaged_report_is_an_error(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(GraftError, match="missing or damaged: No such file"):
        read_report(folder)
    write_report(folder, REPORT)
    folder.report.write_text(folder.report.read_text().replace('"spec"', '"name"'))
    with pytest.raises(GraftError, match="missing or damaged: "):
        read_report(folder)


def shown(*, why: bool) -> str:
    console = Terminal(why=why)
    with console.capture() as captured:
        show_plan(make_plan("full"), console)
        show_report(REPORT, RunFolder(Path("runs/x")), console, ("graft demo",))
    return captured.get()


def test_the_result_is_one_sentence_and_everything_else_is_behind_why() -> None:
    short, whole = shown(why=False), shown(why=True)
    result = "75.0% of the 20 test images were recognised correctly (95% interval 53.1 to 88.8%)"
    assert short.splitlines() == [
        "Plan: all layers of the pretrained network learn (full), in at most 10 passes over the images",
        result,
        "  20 images agree",
        f"files: {Path('runs/x')}: model.onnx (the model), report.json (all numbers)",
        "next: graft demo",
    ]
    assert result in whole
    assert "[red]" in whole and "• see [/bold]" in whole and "[/x]" in whole
    assert "predicted accuracy" in whole


def test_other_scores_and_validation_images_have_their_own_sentence() -> None:
    report = replace(REPORT, task="segmentation", metrics={"mean_iou": 0.5}, measured_on="val")
    assert format_result(report).startswith("mean IoU 50.0% on the 20 validation images; these also chose")


@pytest.mark.parametrize(("licence", "told"), [("non-commercial research only", True), ("MIT", False)])
def test_a_licence_that_restricts_is_told(licence: str, told: bool) -> None:
    weights = StartingWeights("default", "here", licence, "0" * 64, None)
    console = Terminal()
    with console.capture() as captured:
        show_report(replace(REPORT, weights=weights), RunFolder(Path("x")), console)
    assert (licence in captured.get()) == told


def test_a_diagnosis_is_told_once_and_a_good_fit_is_not() -> None:
    console = Terminal()
    with console.capture() as captured:
        for remarks in (("gap: overfitting", "a lower rate may help"), ("gap: a good fit",)):
            show_report(replace(REPORT, remarks=remarks), RunFolder(Path("x")), console)
    assert "gap: overfitting" in captured.get()
    assert "lower rate" not in captured.get()
    assert "good fit" not in captured.get()
