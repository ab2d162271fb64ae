"""Plans where the truth is known, because it was planted in the network and the images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from planted_kit import (
    random_state,
    trained_state,
    write_images,
    write_noise,
    write_spec,
    write_stripes,
)
from rich.console import Console

from finetune.api import make_plan
from finetune.records.evidence import RaceScore
from finetune.records.plan import Plan
from zoo.errors import GraftError

QUIET = Console(quiet=True)


def scores_of(plan: Plan) -> Mapping[str, RaceScore]:
    assert plan.evidence.race is not None
    return plan.evidence.race.scores


def accuracy_in(score: RaceScore) -> float:
    assert score.accuracy is not None
    return score.accuracy.value


def plan_of(spec: Path, images: Path, tmp_path: Path, **keys: object) -> Plan:
    values = {"finetune.cache": str(tmp_path / "cache"), **{k.replace("__", "."): v for k, v in keys.items()}}
    return make_plan(spec, data=str(images), set=values, root=tmp_path / "runs", console=QUIET)


def test_few_images_that_the_top_stage_tells_apart_get_a_linear_probe(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, random_state(tmp_path))
    plan = plan_of(spec, write_images(tmp_path / "images", 4, 8), tmp_path)
    assert plan.strategy == "linear_probe"


def test_features_that_only_an_early_stage_has_are_read_there_or_the_top_is_trained(tmp_path: Path) -> None:
    state = random_state(tmp_path)
    state["high.weight"] = torch.zeros_like(state["high.weight"])
    state["high.bias"] = torch.ones_like(state["high.bias"])
    spec = write_spec(tmp_path, state)
    plan = plan_of(spec, write_images(tmp_path / "images", 4, 20), tmp_path)
    scores = scores_of(plan)
    assert accuracy_in(scores["linear_probe"]) < 0.5
    assert plan.strategy in ("stage_probe", "partial", "full")
    assert accuracy_in(scores[plan.strategy]) > 0.9


def test_many_images_far_from_the_weights_are_fine_tuned_throughout(tmp_path: Path) -> None:
    state = trained_state(tmp_path, write_stripes(tmp_path / "known", 60, seed=2))
    state["low.weight"] = state["low.weight"].flip(
        1
    )  # it looks for blue where red is, and the classes are blue
    spec = write_spec(tmp_path, state)
    images = write_stripes(tmp_path / "images", 100, seed=3)
    plan = plan_of(spec, images, tmp_path, finetune__partial__stages=1, finetune__learning_rate=0.1)
    scores = scores_of(plan)
    assert accuracy_in(scores["stage_probe"]) < 0.6
    assert plan.strategy == "full"


def test_a_class_with_one_image_is_never_held_out(tmp_path: Path) -> None:
    images = tmp_path / "images"
    for split in ("train", "val"):
        write_images(images / split, 3, 10)
    for path in sorted((images / "train" / "class_002").iterdir())[1:]:
        path.unlink()
    spec = write_spec(tmp_path, random_state(tmp_path))
    plan = plan_of(spec, images, tmp_path, data__test=0)
    assert plan.evidence.smallest_class == 1
    scores = scores_of(plan)
    assert scores["linear_probe"].images == 20


def test_a_class_with_one_image_that_has_to_be_split_is_named(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", 3, 10)
    for path in sorted((images / "class_002").iterdir())[1:]:
        path.unlink()
    spec = write_spec(tmp_path, random_state(tmp_path))
    with pytest.raises(GraftError, match=r"needs 3 different images or more.*too few in class_002 \(1\)"):
        plan_of(spec, images, tmp_path)


def test_two_classes(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, random_state(tmp_path))
    assert plan_of(spec, write_images(tmp_path / "images", 2, 10), tmp_path).strategy == "linear_probe"


def test_five_hundred_classes(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, random_state(tmp_path))
    plan = plan_of(spec, write_images(tmp_path / "images", 500, 4), tmp_path, finetune__epochs=5)
    assert plan.evidence.images == 1000
    assert plan.summary


def test_images_that_are_all_the_same_are_refused(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", 2, 10, noise=0.0)
    for path in (images / "class_001").iterdir():
        path.write_bytes((images / "class_000" / path.name).read_bytes())
    spec = write_spec(tmp_path, random_state(tmp_path))
    with pytest.raises(GraftError, match="each class needs 3 different images or more"):
        plan_of(spec, images, tmp_path)


def test_labels_without_signal_get_the_cheapest_strategy(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, random_state(tmp_path))
    plan = plan_of(spec, write_noise(tmp_path / "images", 4, 30), tmp_path)
    scores = scores_of(plan)
    assert plan.strategy in ("linear_probe", "stage_probe")
    accuracy = scores[plan.strategy].accuracy
    assert accuracy is not None
    assert abs(accuracy.value - 0.25) < 3 * accuracy.error


def test_a_plan_that_differs_from_the_table_has_a_reason(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, random_state(tmp_path))
    images = write_images(tmp_path / "images", 4, 20)
    for similarity, agrees in (("similar", True), ("different", False)):
        plan = plan_of(spec, images, tmp_path, data__similarity=similarity)
        assert plan.strategy == "linear_probe"
        said = " ".join(plan.reasons)
        assert ("the measurement agrees" in said) == agrees
        assert ("the measurement disagrees" in said) != agrees


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, random_state(tmp_path))
    with pytest.raises(GraftError, match="class"):
        plan_of(spec, write_images(tmp_path / "images", 1, 10), tmp_path)
