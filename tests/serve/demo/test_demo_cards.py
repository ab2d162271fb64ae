"""The demo's parts without a browser: which models are found, and the cards that show them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from digits_kit import DigitsModel, MaskModel, save_png, smooth_images
from numpy.typing import NDArray

from bench.bombs import wide_png
from pixels.pool import Decoder
from serve.artifact import Metadata
from serve.codec import encode_png
from serve.demo.cards import (
    answer_card,
    empty_page,
    error_card,
    facts_card,
    stack_cards,
)
from serve.predictor import Predictor
from serve.runs import find_runs, format_score, open_run

ABOUT = Metadata("classification", ("<cat>", "dog"), "cats", "ab" * 32, metrics={"accuracy": 0.915})


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.close()


@pytest.fixture
def runs(tmp_path: Path, digits_model: DigitsModel) -> Path:
    """Three runs; the one in the middle of the alphabet is the newest."""
    for spec, age in (("alpha", 300), ("beta", 100), ("gamma", 200)):
        folder = tmp_path / "runs" / spec / "20260101-000000"
        folder.mkdir(parents=True)
        shutil.copy(digits_model.path, folder)
        os.utime(folder / "model.onnx", (1.7e9 - age, 1.7e9 - age))
    return tmp_path / "runs"


def test_newest_run_first(runs: Path, digits_model: DigitsModel) -> None:
    found = find_runs(runs)
    assert [model.name.split("/")[0] for model in found.models] == ["beta", "gamma", "alpha"]
    assert found.unreadable == ()
    assert found.models[0].title == f"beta/20260101-000000 · {digits_model.accuracy:.1%}"


def test_a_run_beside_the_folders_of_specs_is_found(runs: Path) -> None:
    (runs / "beta" / "20260101-000000").rename(runs / "mine")
    assert {model.name for model in find_runs(runs).models} == {
        "mine",
        "gamma/20260101-000000",
        "alpha/20260101-000000",
    }


def test_no_folder_no_runs(tmp_path: Path) -> None:
    assert find_runs(tmp_path / "nowhere") == find_runs(tmp_path)
    assert find_runs(tmp_path).models == ()


def test_damaged_file_is_named_and_left_out(runs: Path) -> None:
    damaged = runs / "alpha" / "20260101-000000" / "model.onnx"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    found = find_runs(runs)
    assert len(found.models) == 2
    assert found.unreadable[0].startswith(f"{damaged}: not a readable ONNX file")


def test_file_written_again_is_read_again(runs: Path, digits: tuple[NDArray[np.uint8], object]) -> None:
    model = find_runs(runs).models[0]
    first = open_run(model)
    assert open_run(model) is first
    os.utime(model.path, (1.8e9, 1.8e9))
    assert open_run(find_runs(runs).models[0]) is not first
    assert first(digits[0][0]) == Predictor(model.path)(digits[0][0])


def test_score_in_words() -> None:
    assert format_score(ABOUT) == "accuracy 91.5%"
    assert format_score(replace(ABOUT, metrics={})) == ""
    assert format_score(replace(ABOUT, task="segmentation", metrics={"mean_iou": 0.5})) == "mean IoU 50.0%"


def test_names_are_escaped() -> None:
    assert "&lt;cat&gt;" in facts_card(ABOUT)
    assert "<cat>" not in facts_card(ABOUT)
    assert "<b>" not in error_card("<b>x.png", "no <b>image")
    card = answer_card("<i>x.png", np.zeros((2, 2, 3), np.uint8), [("<b>cat", 0.9), ("<u>dog", 0.1)])
    assert not [tag for tag in ("<i>", "<b>", "<u>") if tag in card]
    noted = answer_card("x", np.zeros((2, 2, 3), np.uint8), [("a", 1.0)], notes=("Not certain: <s>a",))
    assert "<p class='graft-note'>Not certain: &lt;s&gt;a</p>" in noted
    assert "graft-note" not in card
    assert card.count("&lt;b&gt;cat") == 3 and "&lt;u&gt;dog" in card and "&lt;i&gt;x.png" in card
    assert "make finetune SPEC=specs/resnet_small.yaml" in empty_page("<runs>")
    assert "<runs>" not in empty_page("<runs>")


def test_facts_of_a_model() -> None:
    scratch = facts_card(replace(ABOUT, weights={"none": "no weights to hand"}))
    assert "trained from scratch" in scratch
    assert "from scratch" not in facts_card(replace(ABOUT, weights={}))  # nothing is known of them
    assert "Licence" not in scratch
    weights = {"origin": "torchvision", "licence": "BSD-3-Clause"}
    pretrained = facts_card(replace(ABOUT, weights=weights, parity={"images": 7}))
    assert "torchvision" in pretrained
    assert "BSD-3-Clause" in pretrained
    assert "equal to the trained network on 7 images" in pretrained
    many = facts_card(replace(ABOUT, labels=tuple(map(str, range(1000)))))
    assert "1000: 0, 1, 2" in many
    assert "and 988 more" in many


def test_uploads_become_cards(
    tmp_path: Path,
    digits_model: DigitsModel,
    digits: tuple[NDArray[np.uint8], object],
    decoder: Decoder,
) -> None:
    from serve.demo.answers import answer_image

    predictor = Predictor(digits_model.path)

    def answer_file(path: Path) -> str:
        return answer_image(predictor, decoder, path.name, path.read_bytes())

    card = answer_file(save_png(tmp_path / "a&b.png", digits[0][0]))
    best, value = predictor(digits[0][0])[0]
    assert f"<div class='graft-best'>{best}</div>" in card
    assert f"{value:.1%}" in card
    assert "a&amp;b.png" in card
    assert card.count("graft-row") == 5
    notes = tmp_path / "notes.png"
    notes.write_text("milk, eggs")
    assert "This file could not be read as an image." in answer_file(notes)
    notes.write_bytes(wide_png(100_000, 3))
    assert "a side may have at most 32,768" in answer_file(notes)
    assert stack_cards([card, card]).count("graft-card'") == 2
    assert "Answers appear here." in stack_cards([])


def test_segmentation_card_shows_the_mask(tmp_path: Path, mask_model: MaskModel, decoder: Decoder) -> None:
    from serve.demo.answers import answer_image

    predictor = Predictor(mask_model.path)
    card = answer_image(
        predictor,
        decoder,
        "view.png",
        save_png(tmp_path / "view.png", smooth_images((20, 30))[0]).read_bytes(),
    )
    colours = predictor.task.colours(predictor.labels).values()
    assert all(f"background:{colour}" in card for colour in colours)


def test_two_models_answer_side_by_side(
    runs: Path, digits_model: DigitsModel, digits: tuple[NDArray[np.uint8], object], decoder: Decoder
) -> None:
    from serve.demo.trial import answer_all

    names = [model.name for model in find_runs(runs).models][:2]
    image = ("<a>.png", encode_png(digits[0][0]))
    best = Predictor(digits_model.path)(digits[0][0])[0][0]
    pair = answer_all(runs, names, [image, ("notes.txt", b"milk")], decoder)
    assert pair.count("graft-pair") == 2
    assert pair.count("<div class='graft-card'>") == 2
    assert all(f"&lt;a&gt;.png · {name}" in pair for name in names)
    alone = answer_all(runs, [names[0], ""], [image], decoder)
    assert "graft-pair" not in alone
    assert names[0] not in alone
    assert f"<div class='graft-best'>{best}</div>" in alone
