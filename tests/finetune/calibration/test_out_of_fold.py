"""Cross-validation: no network is asked about an image that it learned from, and one result comes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from small_kit import QUIET, SPEC, broken_off, without_export

from finetune.api import run
from finetune.calibration.out_of_fold import read_out_of_fold
from finetune.config import FinetuneSettings
from finetune.finished import load_run, load_trained, write_run_page
from finetune.fit.folds import deal, deal_folds, fold_setup
from finetune.records.estimate import wilson_interval
from finetune.records.report import SplitSizes, read_report
from finetune.records.run_folder import RunFolder
from finetune.records.verify import open_run
from finetune.report.show import format_result
from finetune.search import search
from zoo.errors import GraftError

pytestmark = pytest.mark.usefixtures("unexported")

CLASSES = ("dark", "grey", "light")
FOLDS = 3


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures of 40 pixels, one of them stored twice, and a network that takes 8 of them."""
    root, random = tmp_path_factory.mktemp("few"), np.random.default_rng(0)
    for label, mean in zip(CLASSES, (70, 120, 170), strict=True):
        (root / "data" / label).mkdir(parents=True)
        for number in range(10):
            coarse = np.clip(random.normal(mean, 25, (5, 5, 3)), 0, 255).astype(np.uint8)
            image = Image.fromarray(coarse).resize((40, 40))
            image.save(root / "data" / label / f"{number}.png")
            if number == 0:
                image.save(root / "data" / label / "again.jpg", quality=90)
    text = SPEC.format(val=0.2, test=0).replace("channels: 1, height: 8, width: 8", "height: 32, width: 32")
    text = text.replace("kernel: 3}}", "kernel: 9, stride: 8}}")
    path = root / "small.yaml"
    path.write_text(text.replace("data: {", f"data: {{folder: {root / 'data'}, "))
    return path


def settings(**more: object) -> dict[str, object]:
    given = {"folds": FOLDS, "strategy": "scratch", "trackers": [], **more}
    return {f"finetune.{key}": value for key, value in given.items()}


@pytest.fixture(scope="module")
def finished(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with without_export():
        return run(spec, set=settings(), run=tmp_path_factory.mktemp("runs") / "run", console=QUIET).folder


def test_each_image_is_answered_once_by_a_network_that_did_not_learn_from_it(finished: Path) -> None:
    setup, _ = load_trained(RunFolder(finished))
    folds = deal_folds(setup)
    assert folds is not None
    assert len(folds.numbers) == 33 == sum(len(folds.held_out(fold)) for fold in range(FOLDS))
    keys = [image.key for image in folds.images.split.images]
    assert all(np.bincount(folds.images.split.targets[folds.held_out(f)]).min() >= 3 for f in range(FOLDS))
    for label in CLASSES:  # the same picture, encoded again
        assert len({folds.numbers[keys.index(f"{label}/{name}")] for name in ("0.png", "again.jpg")}) == 1
    for fold in range(FOLDS):
        own = fold_setup(setup, folds, fold)
        learned, asked = ({image.key for image in part.split.images} for part in (own.train, own.val))
        assert not learned & asked
        assert len(learned | asked) == 33


def test_the_report_names_what_was_measured(finished: Path) -> None:
    report = json.loads((finished / "report.json").read_text())
    checked = report["cross_validation"]
    low, high = wilson_interval(checked["accuracy"]["value"], 33)
    assert report["measured_on"] == "folds"
    assert (checked["folds"], checked["images"], len(checked["each"])) == (FOLDS, 33, FOLDS)
    assert checked["accuracy"] == {
        "value": pytest.approx(report["metrics"]["accuracy"]),
        "low": low,
        "high": high,
    }
    assert report["images"] == {"train": 33, "val": 0, "test": 0}
    assert report["calibration"]["images"] == 33
    assert report["training"]["epochs"] == 3
    assert "accuracy of 3-fold cross-validation" in (finished / "report.html").read_text()
    open_run(finished)  # every file of it is as it was written
    assert not (finished / "folds").exists()


def test_page_and_network_come_from_the_folder_again(finished: Path) -> None:
    loaded, before = load_run(finished), json.loads((finished / "report.json").read_text())["metrics"]
    assert loaded.calibration is not None
    setup, _ = load_trained(RunFolder(finished))
    found = read_out_of_fold(setup, RunFolder(finished))
    assert found is not None
    right = (found.answers.logits.argmax(1) == found.images.split.targets).mean()
    assert right == pytest.approx(before["accuracy"])
    assert "3-fold" in write_run_page(finished).read_text()


def test_a_killed_run_goes_on_in_its_fold(spec: Path, finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    with broken_off(lambda path, name: path.parent.name == "2" and name == "epoch-0002"):
        run(spec, set=settings(report=False), run=folder, console=QUIET)
    first = (folder / "fold-1.safetensors").stat().st_mtime_ns
    assert not (folder / "fold-2.safetensors").exists()
    run(spec, set=settings(report=False), run=folder, console=QUIET)
    assert (folder / "fold-1.safetensors").stat().st_mtime_ns == first
    same = ("fold-1.safetensors", "fold-2.safetensors", "fold-3.safetensors", "model.safetensors")
    assert all((folder / name).read_bytes() == (finished / name).read_bytes() for name in same)


def test_with_test_images_both_are_told(finished: Path) -> None:
    report = replace(read_report(RunFolder(finished)), measured_on="test", images=SplitSizes(33, 0, 12))
    told = format_result(report)
    assert "of the 12 test images" in told
    assert "3-fold cross-validation on 33 others" in told


def test_groups_stay_together_and_classes_are_spread() -> None:
    strata = np.repeat([0, 1], [7, 12])
    groups = {str(row): [row] for row in range(17)} | {"pair": [17, 18]}
    numbers = deal(strata, groups, 3, ("a", "b"), seed=0)
    assert numbers[17] == numbers[18]
    assert sorted(np.bincount(numbers[strata == 0])) == [2, 2, 3]
    assert np.bincount(numbers).max() - np.bincount(numbers).min() <= 2
    with pytest.raises(GraftError, match=r"too few in a \(7\)\n  expected: finetune.folds 7 at most"):
        deal(strata, groups, 8, ("a", "b"), seed=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"folds": 1}, "greater than or equal to 2"),
        ({"folds": 5, "ensemble": {"bagging": 3}}, "ensemble chooses by validation images"),
        ({"folds": 5, "after_stopping": "retrain"}, "or a spec without after_stopping"),
        ({"folds": 5, "distill": {"run": "x"}}, "a teacher that may know"),
    ],
)
def test_what_folds_cannot_be_combined_with(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FinetuneSettings.model_validate(given)


def test_a_search_with_folds_is_refused(spec: Path, tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="a trial of a search trains one"):
        search(spec, set=settings(), run=tmp_path, console=QUIET)
