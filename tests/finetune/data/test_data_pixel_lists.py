"""Tables whose images are lists of pixels."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_kit import settings

from finetune.data import DataError, load_splits, read_splits


@pytest.fixture(autouse=True)
def cache_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_lists_of_pixels_are_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, shape, kind in (("grey", (6, 5), pa.int64()), ("rgb", (6, 5, 3), pa.uint8())):
        pixels = rng.integers(0, 256, (12, *shape))
        column = pa.array(pixels.tolist(), pa.list_(pa.list_(kind if name == "grey" else pa.list_(kind))))
        pq.write_table(pa.table({"image": column, "label": [0, 1] * 6}), tmp_path / f"{name}.parquet")
        splits = load_splits(settings(parquet=tmp_path / f"{name}.parquet"), 0)
        assert splits.broken == ()
        for image in (*splits.train.images, *splits.val.images, *splits.test.images):
            row = pixels[int(image.key.split("/")[1])]
            expected = np.repeat(row[..., None], 3, axis=2) if name == "grey" else row
            np.testing.assert_array_equal(image.read(), expected)
            assert image.read().dtype == np.uint8
        again = read_splits(splits.to_record(), settings(parquet=tmp_path / f"{name}.parquet"))
        np.testing.assert_array_equal(again.val.images[0].read(), splits.val.images[0].read())


def test_arrays_of_the_hub_are_images(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 4, 5, 3), dtype=np.uint8)
    features = datasets.Features(
        {"image": datasets.Array3D((4, 5, 3), "uint8"), "label": datasets.ClassLabel(names=["a", "b"])}
    )
    data = datasets.Dataset.from_dict({"image": list(pixels), "label": [0, 1] * 6}, features)
    data.to_parquet(tmp_path / "a.parquet")
    image = load_splits(settings(parquet=tmp_path / "a.parquet"), 0).train.images[0]
    np.testing.assert_array_equal(image.read(), pixels[int(image.key.split("/")[1])])


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (list(range(16)), r"images are list<.*int64>; expected image files, or lists of height x .*reshape"),
        ([[[[1]]]], "expected image files, or lists of height x width"),
        ([[0.5, 0.2], [0.1, 0.9]], "expected image files, or lists of height x width whole numbers"),
        ([["a"]], "expected image files, or lists of height x width whole numbers"),
        ([[1, 2], [3]], "lists of different lengths"),
        ([[0, 256], [1, 2]], "found values from 0 to 256"),
        ([[-1, 5], [1, 2]], "found values from -1 to 5"),
        ([[[1, 2], [3, 4]]], "found a list of 1x2x2"),
        ([[[1] * 8] * 8] * 3, "found a list of 3x8x8; expected lists of height x width"),
        ([[]], "found a list of 1x0"),
    ],
)
def test_lists_of_another_form_are_told(cell: list[Any], message: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [cell] * 12, "label": [0, 1] * 6}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        load_splits(settings(parquet=tmp_path / "a.parquet"), 0)
