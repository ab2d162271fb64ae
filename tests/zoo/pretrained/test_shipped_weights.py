"""The weights that Graft ships: their cards are correct, and specs load them without a network."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import zoo
from finetune.experiment.setup import build_preprocess
from zoo.__main__ import app
from zoo.pretrained.card import Card, read_card
from zoo.pretrained.sources.base import sha256_of
from zoo.spec.inherit import SHIPPED

CARDS = sorted(SHIPPED.glob("*.card.yaml"))
LEAST_TOP1 = {"resnet_small": 0.54, "resnet_tiny": 0.27}
LARGEST_MIB = 6
IMAGES = "GRAFT_TINY_IMAGENET"  # folder of Tiny ImageNet's parquet files
NEEDS_IMAGES = pytest.mark.skipif(
    IMAGES not in os.environ, reason=f"{IMAGES} does not name the folder of Tiny ImageNet's parquet files"
)


@pytest.fixture(params=CARDS, ids=[path.name.partition(".")[0] for path in CARDS])
def card(request: pytest.FixtureRequest) -> Card:
    path: Path = request.param
    return read_card(path)


def test_there_are_shipped_weights() -> None:
    assert {path.name for path in CARDS} >= {"resnet_small.card.yaml", "resnet_tiny.card.yaml"}


def test_the_file_has_the_hash_and_dtype_of_its_card(card: Card) -> None:
    path = SHIPPED / f"{card.name}.safetensors"
    assert sha256_of(path) == card.sha256
    assert path.stat().st_size <= LARGEST_MIB * 2**20
    assert card.score.top1 >= LEAST_TOP1.get(card.name, 0)
    state = load_file(path)
    assert {str(value.dtype) for value in state.values() if value.is_floating_point()} == {
        f"torch.{card.dtype}"
    }


def test_the_spec_starts_from_them_offline(card: Card) -> None:
    spec = zoo.read_spec(card.spec)
    assert list(zoo.available_weights(spec)) == ["default"]
    known = zoo.trained_input(spec, "default")
    assert (known.mean, known.std, known.resize) == (card.input.mean, card.input.std, card.input.resize)
    net, origin = zoo.load(spec, weights="default", seed=0)
    assert origin is not None
    assert origin.sha256 == card.sha256
    assert not origin.audit.warnings
    assert sum(parameter.numel() for parameter in net.parameters()) == card.params
    assert set(card.stages) == set(zoo.anatomy(spec, net).stages)


def test_describe_prints_the_card(card: Card) -> None:
    said = CliRunner().invoke(app, ["describe", f"specs/{card.spec}.yaml", "--weights"])
    assert said.exit_code == 0
    assert f"top-1 {100 * card.score.top1:.1f}%" in said.output
    assert card.sha256[:16] in said.output.replace("\n", "")


@NEEDS_IMAGES
def test_the_accuracy_is_that_of_the_card(card: Card) -> None:
    rows = pq.read_table(sorted(Path(os.environ[IMAGES]).glob("val*.parquet"))[0])
    spec = zoo.read_spec(card.spec)
    net, _ = zoo.load(spec, weights="default", seed=0)
    known = zoo.trained_input(spec, "default").model_dump(exclude_none=True)
    preprocess = build_preprocess(spec.input.model_copy(update=known))
    right, labels = 0, rows["label"].to_numpy()
    with torch.inference_mode():
        for start in range(0, len(labels), 250):
            batch = rows["image"].slice(start, 250).to_pylist()
            pixels = [np.asarray(Image.open(io.BytesIO(item["bytes"])).convert("RGB")) for item in batch]
            found = net.eval()(preprocess(torch.from_numpy(np.stack(pixels)))).argmax(1).numpy()
            right += int((found == labels[start : start + 250]).sum())
    assert len(labels) == card.score.images
    assert right / len(labels) == pytest.approx(card.score.top1, abs=0.0005)
