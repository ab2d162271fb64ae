"""Every image of a run is decoded once: the scan, the frozen pass, training and evaluation share it."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from networks_kit import write_networks, write_photos
from numpy.typing import NDArray
from PIL import Image

from finetune.calibration.calibrate import calibrate
from finetune.data import images as images_module
from finetune.data.decoded import DECODED, DecodedImages, resize
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import prepare
from finetune.fit.execute import execute_plan
from finetune.planning.choose import choose_plan
from finetune.probes.arithmetic import choose_arithmetic
from finetune.records.run_folder import RunFolder
from finetune.report.report import make_report
from finetune.report.tested import evaluate_network
from finetune.runtime.console import QUIET
from finetune.transforms.preprocess import Preprocess
from pixels import decode_rgb

SIZE = Preprocess(height=8, width=8)
IMAGE_BYTES = 3 * 8 * 8


def draw(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def test_a_run_decodes_each_image_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(number)).save(path)
    decoded: Counter[str] = Counter()

    def count(content: bytes) -> NDArray[np.uint8]:
        decoded[hashlib.sha256(content).hexdigest()] += 1
        return decode_rgb(content)

    monkeypatch.setattr(images_module, "decode_rgb", count)
    given = {
        "finetune.strategy": "partial",
        "finetune.head": "probe",
        "finetune.precision": "float32",
        "finetune.cache": str(tmp_path),
        "finetune.epochs": 1,
        "finetune.monitor": "none",
        "finetune.trackers": [],
    }
    recipe = read_recipe("specs/resnet_tiny.yaml", str(tmp_path / "photos"), given)
    setup = choose_arithmetic(prepare(recipe, load_data(recipe)))
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    plan = choose_plan(setup)
    trained = calibrate(execute_plan(setup, plan, folder, QUIET), setup, folder)
    make_report(setup, plan, trained, evaluate_network(trained.net, setup), folder=folder, minutes=None)
    assert len(decoded) == 40
    assert set(decoded.values()) == {1}


def test_keeps_what_fits_at_the_stated_size_until_it_is_taken() -> None:
    kept = DecodedImages()
    kept.keep("before", draw(0))
    kept.start(SIZE, 2 * IMAGE_BYTES)
    for number in range(3):
        kept.keep(str(number), draw(number))
    found = kept.take("1", SIZE)
    assert found is not None
    assert torch.equal(found, resize(draw(1), SIZE))
    assert kept.take("1", SIZE) is None  # taken
    assert kept.take("2", SIZE) is None  # no room
    assert kept.take("before", SIZE) is None
    for other in (Preprocess(height=8, width=9), Preprocess(height=8, width=8, resize="crop")):
        assert kept.take("0", other) is None
    assert kept.take("0", SIZE) is not None
    kept.keep("3", draw(3))
    kept.start(SIZE, IMAGE_BYTES)
    assert kept.take("3", SIZE) is None  # of before


def test_nothing_is_kept_for_a_network_that_is_still_to_be_chosen(tmp_path: Path) -> None:
    splits = load_data(read_recipe(write_networks(tmp_path), str(write_photos(tmp_path))))
    assert DECODED.preprocess is None
    assert DECODED.take(splits.train.images[0].digest(), Preprocess(height=224, width=224)) is None
