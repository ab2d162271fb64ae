"""The parity rule itself, on numbers: what passes, what fails, what is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from digits_kit import DigitsModel
from numpy.typing import NDArray

from serve.export.parity import Expected, describe_failure, measure_parity
from serve.model import ModelOutput
from serve.tasks import find_task
from serve.tasks.comparison import Parity


def lead(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """By how much the best class leads in each row."""
    best = np.sort(rows, axis=1)
    return best[:, -1] - best[:, -2]


def answer(rows: NDArray[np.float32], images: int) -> Expected:
    """The same row for each image of a batch."""
    return Expected(ModelOutput(rows.repeat(images, 0)), lead(rows).repeat(images, 0))


LABELS = ("cat", "dog", "cow")
PICTURE = np.zeros((2, 2, 3), np.uint8)


def measure(
    found: list[float], expected: list[float], unknown: tuple[float, float] | None = None
) -> tuple[Parity, list[str]]:
    rows = np.array([expected], np.float32)
    scores = unknown and [np.array([one], np.float32) for one in unknown]
    parity, faults = measure_parity(
        artifact=lambda _batch: ModelOutput(np.array([found], np.float32), scores[0] if scores else None),
        network=lambda _batch: Expected(ModelOutput(rows, scores[1] if scores else None), lead(rows)),
        images=[("a.jpg", PICTURE)],
        task=find_task("classification"),
        labels=LABELS,
    )
    return parity, [str(difference) for difference in faults]


def test_equal_answers_pass() -> None:
    parity, faults = measure([0.5, 0.3, 0.2], [0.5, 0.3, 0.2])
    assert faults == []
    assert (parity.images, parity.compared, parity.max_probability_difference) == (1, 1, 0)


def test_probability_off_by_more_than_a_ten_thousandth_fails() -> None:
    assert measure([0.50009, 0.3, 0.2], [0.5, 0.3, 0.2])[1] == []
    assert measure([0.50011, 0.3, 0.2], [0.5, 0.3, 0.2])[1] == ["a.jpg: off by 1.1e-04"]


def test_unknown_off_by_more_than_a_thousandth_fails() -> None:
    same = [0.5, 0.3, 0.2]
    parity, faults = measure(same, same, unknown=(0.7009, 0.7))
    assert (faults, parity.max_unknown_difference) == ([], pytest.approx(9e-4, abs=1e-5))
    assert measure(same, same, unknown=(0.7011, 0.7))[1] == [
        "a.jpg: off by 0.0e+00, `unknown` off by 1.1e-03"
    ]
    assert measure(same, same, unknown=(40.03, 40.0))[1] == []  # far away, the share counts
    assert len(measure(same, same, unknown=(np.nan, 0.7))[1]) == 1
    assert measure(same, same)[0].max_unknown_difference is None


def test_other_best_class_counts_only_where_the_best_was_clear() -> None:
    parity, faults = measure([0.45004, 0.45005, 0.1], [0.45005, 0.45004, 0.1])
    assert (parity.compared, parity.top1_differences, faults) == (0, 0, [])
    parity, faults = measure([0.449, 0.451, 0.1], [0.451, 0.449, 0.1])
    assert (parity.compared, parity.top1_differences) == (1, 1)
    assert faults == ["a.jpg: off by 2.0e-03, 'cat' became 'dog'"]


@pytest.mark.parametrize("place", [0, 2])
def test_nan_fails_on_either_side(place: int) -> None:
    good = [0.5, 0.3, 0.2]
    broken = [value if i != place else float("nan") for i, value in enumerate(good)]
    for found, expected in ((broken, good), (good, broken), (broken, broken)):
        parity, faults = measure(found, expected)
        assert len(faults) == 1
        assert np.isnan(parity.max_probability_difference)


def test_report_is_json_with_its_limits() -> None:
    parity, _ = measure([0.5, 0.3, 0.2], [0.5, 0.3, 0.2])
    values = json.loads(json.dumps(parity.to_dict()))
    assert (values["images"], values["limit"], values["margin"]) == (1, 1e-4, 1e-3)
    assert values["images_per_s"] > 0


def test_masks_have_no_probabilities_to_compare() -> None:
    mask = np.zeros((1, 4, 6), np.uint8)
    parity, faults = measure_parity(
        artifact=lambda batch: ModelOutput(mask),
        network=lambda batch: Expected(ModelOutput(mask), np.ones(mask.shape, np.float32)),
        images=[("a.jpg", PICTURE)],
        task=find_task("segmentation"),
        labels=LABELS,
    )
    assert faults == []
    assert parity.to_dict()["max_probability_difference"] is None
    assert "probabilities" not in find_task("segmentation").summary(parity)


def test_failure_names_some_images_and_counts_the_rest() -> None:
    rows = np.array([[0.9, 0.1, 0.0]], np.float32)
    parity, faults = measure_parity(
        artifact=lambda batch: ModelOutput(rows[:, ::-1].repeat(len(batch), 0)),
        network=lambda batch: answer(rows, len(batch)),
        images=((f"{i}.jpg", PICTURE) for i in range(70)),
        task=find_task("classification"),
        labels=LABELS,
    )
    text = describe_failure(parity, faults)
    assert (
        text.splitlines()[0] == "the exported model answers differently from the network on 70 of 70 images"
    )
    assert "  0.jpg: off by 9.0e-01, 'cat' became 'cow'" in text
    assert text.splitlines()[-1] == "  … and 65 more"


def test_large_images_are_compared_one_by_one() -> None:
    sizes: list[int] = []

    def artifact(batch: NDArray[np.uint8]) -> ModelOutput:
        sizes.append(batch.size)
        return ModelOutput(np.array([[0.9, 0.1, 0.0]] * len(batch), np.float32))

    rows = np.array([[0.9, 0.1, 0.0]], np.float32)
    large = np.zeros((3024, 4032, 3), np.uint8)
    parity, faults = measure_parity(
        artifact=artifact,
        network=lambda batch: answer(rows, len(batch)),
        images=[("a.jpg", large), ("b.jpg", large), ("c.jpg", PICTURE)],
        task=find_task("classification"),
        labels=LABELS,
    )
    assert (parity.images, faults) == (3, [])
    assert sizes[0] == sizes[1] == large.size


MEASURE = """
import sys
import numpy as np, torch
from serve.export.parity import Expected, measure_parity
from serve.model import Model, ModelOutput
net, preprocess = torch.load(sys.argv[2], weights_only=False)
def network(batch):
    with torch.no_grad():
        outputs = torch.softmax(net(preprocess(torch.from_numpy(batch))), 1).numpy()
    return Expected(ModelOutput(outputs), np.ones(len(batch), np.float32))
photos = ((str(i), np.full((3024, 4032, 3), 40 * i, np.uint8)) for i in range(4))
model = Model(sys.argv[1])
parity, faults = measure_parity(model, network, photos, model.task, model.metadata.labels)
print(parity.images, len(faults), int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]))
"""


def test_photos_of_12_megapixels_take_less_than_one_and_a_half_gigabytes(
    tmp_path: Path, digits_model: DigitsModel
) -> None:
    torch.save((digits_model.net, digits_model.preprocess), tmp_path / "net.pt")
    command = [sys.executable, "-c", MEASURE, str(digits_model.path), str(tmp_path / "net.pt")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    images, faults, peak_kib = map(int, done.stdout.split())
    assert (images, faults) == (4, 0)
    assert peak_kib < 1.5e9 / 1024
