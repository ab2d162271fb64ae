"""`predict` for folders: every image in its order, whatever its size, and broken files named."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from call_kit import Call
from digits_kit import DigitsModel, MaskModel, save_png, smooth_images
from numpy.typing import NDArray
from PIL import Image

from pixels import ImageError
from serve import Predictor
from serve.bulk.images import answer_images, find_images


@pytest.fixture
def folder(tmp_path: Path, digits: tuple[NDArray[np.uint8], object]) -> Path:
    """Digits in folders, of two sizes, one of them broken, with other files beside them."""
    root = tmp_path / "photos"
    (root / "b" / "deep").mkdir(parents=True)
    for number, image in enumerate(digits[0][:20]):
        where = root / "b" / "deep" if number % 2 else root
        save_png(where / f"{number:02}.png", image.repeat(2, axis=0) if number % 5 == 0 else image)
    (root / "07.jpg").write_text("milk, eggs")
    (root / "notes.txt").write_text("milk, eggs")
    (root / ".hidden.png").write_text("")
    save_png(root / "strange.png", smooth_images((60, 50))[0])
    return root


def test_answers_come_in_order_and_are_those_of_single_images(
    folder: Path, digits_model: DigitsModel
) -> None:
    predictor, found = Predictor(digits_model.path), find_images([folder])
    assert (len(found.images), found.others) == (22, 1)
    answered = list(answer_images(predictor, found.images))
    assert [image for image, _ in answered] == list(found.images)
    assert [image.name for image, answer in answered if isinstance(answer, ImageError)] == ["07.jpg"]
    for image, answer in answered:
        if not isinstance(answer, ImageError):
            assert dict(answer.answer) == pytest.approx(dict(predictor(image.path)), abs=1e-6)


def test_a_broken_image_at_the_end_is_answered_too(folder: Path, digits_model: DigitsModel) -> None:
    (folder / "z.png").write_text("")
    answered = list(answer_images(Predictor(digits_model.path), find_images([folder]).images))
    assert len(answered) == 23
    only_broken = find_images([folder / "z.png", folder / "07.jpg"]).images
    assert len(list(answer_images(Predictor(digits_model.path), only_broken))) == 2


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_tables_hold_the_same_rows(call: Call, folder: Path, digits_model: DigitsModel, kind: str) -> None:
    out = folder.parent / f"answers.{kind}"
    code, printed, err = call("predict", digits_model.path, folder, "--out", out, "--top", "2")
    assert code == 2  # for the broken one
    assert "21 images answered" in printed
    assert "unlike the training images, 1 broken, 1 other files left out" in printed
    assert err.startswith(f"{folder / '07.jpg'}: not a JPEG, PNG")
    rows = read_table(out)
    assert [row["image"] for row in rows] == [image.name for image in find_images([folder]).images]
    by_name = {row["image"]: row for row in rows}
    best = Predictor(digits_model.path).predict(folder / "b/deep/01.png")
    row = by_name["b/deep/01.png"]
    assert row["label"] == best.answer[0][0]
    assert float(row["probability_2"]) == pytest.approx(best.answer[1][1], abs=1e-6)
    assert by_name["strange.png"]["unlike"] in ("yes", True)
    assert by_name["07.jpg"]["error"].startswith("not a JPEG")


def read_table(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return [dict(row) for row in csv.DictReader(file)]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows: list[dict[str, object]] = pq.read_table(path).to_pylist()
    return rows


def test_threshold_and_unknown_leave_classes_out(call: Call, folder: Path, digits_model: DigitsModel) -> None:
    out = folder.parent / "answers.csv"
    (folder / "07.jpg").unlink()
    code, *_ = call("predict", digits_model.path, folder, "--out", out, "--threshold", "0.6", "--unknown")
    assert code == 0
    by_name = {row["image"]: row for row in read_table(out)}
    assert by_name["strange.png"]["label"] == "unknown"
    assert all(not row["probability_2"] for row in by_name.values())  # two of 0.6 would be more than 1
    assert any(row["label"] in tuple("0123456789") for row in by_name.values())


def test_no_class_above_the_threshold_is_not_called_unknown(
    call: Call, folder: Path, digits_model: DigitsModel
) -> None:
    _, printed, _ = call("predict", digits_model.path, folder, "--threshold", "1")
    assert "unknown" not in printed
    assert " - " in printed


def test_masks_are_written_beside_the_table(call: Call, tmp_path: Path, mask_model: MaskModel) -> None:
    (tmp_path / "in" / "a").mkdir(parents=True)
    save_png(tmp_path / "in" / "a" / "one.png", image := smooth_images((40, 30))[0])
    code, *_ = call("predict", mask_model.path, tmp_path / "in", "--out", tmp_path / "answers.csv")
    [row] = read_table(tmp_path / "answers.csv")
    mask = np.asarray(Image.open(tmp_path / str(row["mask"])))
    assert (code, row["mask"]) == (0, "answers-masks/a/one.png.png")
    assert (mask == Predictor(mask_model.path).output(image)).all()
    assert float(str(row["share"])) == pytest.approx(
        (mask == mask_model.labels.index(str(row["label"]))).mean()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "answers.xlsx"], "Expected a name with .csv, .jsonl, .parquet"),
        (["--unknown"], "--unknown needs a model that says how unlike the training images one is"),
    ],
)
def test_what_cannot_be_done_is_said(
    call: Call, folder: Path, mask_model: MaskModel, arguments: list[str], message: str
) -> None:
    code, out, err = call("predict", mask_model.path, folder, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_folder_without_images(call: Call, tmp_path: Path, digits_model: DigitsModel) -> None:
    (tmp_path / "notes.txt").write_text("milk")
    code, _, err = call("predict", digits_model.path, tmp_path)
    assert (code, err) == (2, f"{tmp_path}: no image found among 1 files\n")


def test_folder_on_the_terminal(call: Call, folder: Path, digits_model: DigitsModel) -> None:
    _, out, _ = call("predict", digits_model.path, folder, "--top", "1")
    lines = out.splitlines()
    assert len(lines) == 22
    strange = next(line for line in lines if "strange.png" in line)
    assert "This photo is unlike the training photos." in strange
