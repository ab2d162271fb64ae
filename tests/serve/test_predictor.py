"""The Predictor: the same answer for a picture in every form it may come in."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from digits_kit import DigitsModel, MaskModel, save_png, smooth_images
from numpy.typing import NDArray
from PIL import Image

from pixels import ImageError
from serve import Predictor
from serve.model import MAX_BATCH

Digits = tuple[NDArray[np.uint8], NDArray[np.int64]]


@pytest.fixture(scope="module")
def predictor(digits_model: DigitsModel) -> Predictor:
    return Predictor(digits_model.path)


def test_answers_are_right(predictor: Predictor, digits_model: DigitsModel, digits: Digits) -> None:
    images, targets = digits
    best = np.array([int(answer[0][0]) for answer in predictor(list(images))])
    assert (best == targets).mean() == digits_model.accuracy


def test_every_class_best_first(predictor: Predictor, digits: Digits) -> None:
    answer = predictor(digits[0][0])
    values = [value for _, value in answer]
    assert {label for label, _ in answer} == set(predictor.labels)
    assert values == sorted(values, reverse=True)
    assert sum(values) == pytest.approx(1, abs=1e-5)  # float32 softmax over ten classes


def test_every_form_of_a_picture_gives_the_same_answer(
    tmp_path: Path, predictor: Predictor, digits: Digits
) -> None:
    image = digits[0][3]
    path = save_png(tmp_path / "digit.png", image)
    expected = predictor(image)
    assert predictor(path) == expected
    assert predictor(str(path)) == expected
    assert predictor(path.read_bytes()) == expected
    assert predictor(Image.open(path)) == expected
    assert predictor([path, image])[1] == expected


def test_turned_photograph_is_read_upright(predictor: Predictor, digits: Digits) -> None:
    image = Image.fromarray(digits[0][3])
    exif = Image.Exif()
    exif[0x0112] = 6  # stored a quarter turn to the left
    file = io.BytesIO()
    image.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    assert predictor(file.getvalue()) == predictor(image)


def test_list_of_mixed_sizes_keeps_its_order(predictor: Predictor, digits: Digits) -> None:
    images = [digits[0][i] if i % 3 else digits[0][i].repeat(2, axis=0) for i in range(40)]
    together = predictor(list(images))
    alone = [predictor(image) for image in images]
    for one, other in zip(together, alone, strict=True):
        assert [label for label, _ in one[:1]] == [label for label, _ in other[:1]]
        # sums in another order: float32 has seven digits
        assert dict(one) == pytest.approx(dict(other), abs=1e-6)


def test_no_pictures_no_answers(predictor: Predictor) -> None:
    assert predictor([]) == []


def test_output_of_a_batch(predictor: Predictor, digits: Digits) -> None:
    rows = predictor.model(digits[0][:5]).answers
    assert rows.shape == (5, 10)
    assert rows.dtype == np.float32
    assert predictor.task.answer(rows[2], predictor.labels)[0] == predictor(digits[0][2])[0]


def test_images_unlike_the_training_images_are_called_so(predictor: Predictor, digits: Digits) -> None:
    known = predictor.predict(list(digits[0]))
    assert np.mean([found.unlike for found in known]) == pytest.approx(0.05, abs=0.01)
    strange = predictor.predict(smooth_images((32, 32), (40, 50), (90, 32)))
    assert all(found.unlike and found.unknown is not None and found.unknown > 1 for found in strange)
    assert predictor.notes(strange[0])[0] == "This photo is unlike the training photos."


def test_sets_hold_every_class_of_enough_probability(predictor: Predictor, digits: Digits) -> None:
    found = predictor.predict(list(digits[0]))
    sets = predictor.metadata.sets
    assert sets is not None
    for one in found:
        above = tuple(label for label, value in one.answer if value >= sets.probability)
        assert one.likely == (above or (one.answer[0][0],))
    [several, *_] = [one for one in found if len(one.likely) > 1]
    assert (
        f"{several.likely[0]} or {several.likely[-1]} (right for 90% of photos)"
        in predictor.notes(several)[-1]
    )


def test_file_without_unknown_says_nothing_about_it(mask_model: MaskModel) -> None:
    found = Predictor(mask_model.path).predict(smooth_images((32, 32))[0])
    assert (found.unknown, found.unlike, found.likely) == (None, False, ())


def test_not_contiguous_pixels(predictor: Predictor, digits: Digits) -> None:
    mirrored = digits[0][0][:, ::-1]
    assert predictor(mirrored) == predictor(mirrored.copy())


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.zeros((4, 4, 3), np.float32), r"float32 \(4, 4, 3\)"),
        (np.zeros((4, 4), np.uint8), r"uint8 \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8 \(0, 4, 3\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"uint8 \(1, 4, 4, 3\)"),
    ],
)
def test_array_that_is_no_picture(predictor: Predictor, pixels: NDArray[np.uint8], found: str) -> None:
    with pytest.raises(ImageError, match=r"expected pixels as uint8 \(height, width, 3\), found " + found):
        predictor(pixels)


def test_batch_of_another_shape(predictor: Predictor) -> None:
    with pytest.raises(ImageError, match=r"expected pixels as uint8 \(batch, height, width, 3\)"):
        predictor.model(np.zeros((4, 4, 3), np.uint8))


def test_file_that_is_no_picture(tmp_path: Path, predictor: Predictor) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("milk, eggs")
    with pytest.raises(ImageError, match=r"notes\.jpg: not a JPEG, PNG"):
        predictor(path)


def test_number_of_threads_does_not_change_the_answer(digits_model: DigitsModel, digits: Digits) -> None:
    one, two = (Predictor(digits_model.path, threads=threads)(digits[0][0]) for threads in (1, 2))
    assert dict(one) == pytest.approx(dict(two), abs=1e-6)  # sums in another order


def test_prediction_imports_no_torch(tmp_path: Path, digits_model: DigitsModel, digits: Digits) -> None:
    image = save_png(tmp_path / "digit.png", digits[0][0])
    predict = [sys.executable, "-X", "importtime", "-m", "serve", "predict"]
    done = subprocess.run(
        [*predict, str(digits_model.path), str(image)], capture_output=True, text=True, check=True
    )
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "onnxruntime" in imported
    heavy = {"torch", "torchvision", "onnx", "sklearn", "gradio", "fastapi", "zoo", "finetune"}
    assert imported & heavy == set()


def test_more_pictures_than_a_batch_keep_their_order(predictor: Predictor, digits: Digits) -> None:
    images = list(digits[0][: MAX_BATCH + 5])
    assert predictor(images)[MAX_BATCH:] == predictor(images[MAX_BATCH:])


def test_lack_of_memory_is_an_image_error(
    predictor: Predictor, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def run(self, *_: object) -> None:
            raise RuntimeError("Failed to allocate memory for requested buffer\nat some place")

    monkeypatch.setattr(predictor.model, "_session", Full())
    with pytest.raises(ImageError, match=r"failed on 1 image.* of 32x32 pixels.*Failed to allocate memory"):
        predictor(digits[0][0])
