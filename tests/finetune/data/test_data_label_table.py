"""Tables of paths and labels."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folder_kit import keys, save_images
from table_kit import png, settings

from finetune.config.data import DataSettings, with_source
from finetune.data import DataError, Splits, load_splits, read_splits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images 0.png to 11.png in images/."""
    save_images(tmp_path / "images", 12)
    return tmp_path


def save(folder: Path, rows: list[str], head: str = "path,label", name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def load_path(path: Path) -> Splits:
    return load_splits(with_source(DataSettings(), path), 0)


def pets(i: int) -> str:
    return "cat" if i % 2 else "dog"


def test_a_csv_of_paths_and_labels(folder: Path) -> None:
    path = save(folder, [f"images/{i}.png,{pets(i)}" for i in range(12)])
    splits = load_path(path)
    assert splits.classes == ("cat", "dog") and splits.named
    assert sum(map(len, keys(splits).values())) == 12 and splits.warnings == ()
    for image, target in zip(splits.train.images, splits.train.targets, strict=True):
        assert image.name == str(folder / image.key)
        assert splits.classes[target] == pets(int(Path(image.key).stem))
        assert image.read().shape == (6, 7, 3)
    chosen = with_source(DataSettings(), path)
    again = read_splits(splits.to_record(), chosen)
    assert keys(again) == keys(splits)
    assert again.test.images[0].digest() == splits.test.images[0].digest()


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_any_delimiter_and_a_mark_at_the_start(delimiter: str, folder: Path) -> None:
    head = "﻿" + delimiter.join(["id", "label", "file_name"])
    rows = [delimiter.join([str(i), f'"{pets(i)}, small"', f"images/{i}.png"]) for i in range(12)]
    assert load_path(save(folder, rows, head, "labels.tsv")).classes == ("cat, small", "dog, small")


def test_a_column_of_splits_with_its_usual_names(folder: Path) -> None:
    parts = ["Train", "valid", "test"]
    rows = [f"images/{i}.png,{pets(i)},{parts[max(0, i // 2 - 3)]}" for i in range(12)]
    found = keys(load_path(save(folder, rows, "image,label,split")))
    assert found["train"] == [f"images/{i}.png" for i in range(8)]
    assert found["val"] == ["images/8.png", "images/9.png"]
    assert found["test"] == ["images/10.png", "images/11.png"]
    other = save(folder, [row.replace("Train", "DEV").replace("valid", "training") for row in rows], "p,l,s")
    chosen = settings(table=other, image_column="p", label_column="l", split_column="s", test=0.1)
    assert len(keys(load_splits(chosen, 0))["val"]) == 8


def test_a_column_for_each_class(folder: Path) -> None:
    rows = [f"{i},{int(i % 3 == 0)},{int(i % 3 == 1)},{int(i % 3 == 2)}" for i in range(12)]
    path = save(folder, rows, "image,rust,scab,healthy")
    splits = load_splits(settings(table=path, image_folder=folder / "images"), 0)  # and names without .png
    assert splits.classes == ("healthy", "rust", "scab")
    for image, target in zip(splits.train.images, splits.train.targets, strict=True):
        assert splits.classes[target] == ("rust", "scab", "healthy")[int(image.key) % 3]
    more = save(folder, [row + ",7" for row in rows], "image,rust,scab,healthy,age")
    chosen = settings(
        table=more, image_folder=folder / "images", label_columns=("scab", "rust", "healthy"), test=0
    )
    assert load_splits(chosen, 0).classes == ("healthy", "rust", "scab")


def test_numbers_are_named_by_a_file(folder: Path) -> None:
    path = save(
        folder, [f"images\\{i}.png,{10 if i % 2 else 9}" for i in range(12)]
    )  # as Windows writes them
    splits = load_splits(settings(table=path), 0)
    assert splits.classes == ("9", "10") and not splits.named
    (folder / "names.json").write_text(json.dumps([str(i) for i in range(9)] + ["nine", "ten"]))
    named = load_splits(settings(table=path, class_names=folder / "names.json"), 0)
    assert named.classes == ("nine", "ten") and named.named
    codes = save(folder, [f"images/{i}.png,0{i % 2}" for i in range(12)])
    assert load_path(codes).classes == ("00", "01")


def test_a_parquet_file_of_paths(folder: Path) -> None:
    table = {"image": [f"images/{i}.png" for i in range(12)], "label": [i % 2 for i in range(12)]}
    pq.write_table(pa.table(table), folder / "labels.parquet")
    assert with_source(DataSettings(), folder / "labels.parquet").source == "table"
    splits = load_path(folder / "labels.parquet")
    assert splits.classes == ("0", "1") and splits.train.images[0].read().shape == (6, 7, 3)


def test_images_anywhere_and_rows_twice(folder: Path) -> None:
    rows = [f"{folder}/images/{i}.png,{pets(i)}" for i in range(12)]
    (folder / "elsewhere").mkdir()
    path = save(folder / "elsewhere", [*rows, rows[3], rows[4]])
    splits = load_path(path)
    assert sum(map(len, keys(splits).values())) == 12
    assert splits.warnings == (f"{path}: rows that repeat an image, left out: 2",)


def test_files_that_are_missing_are_broken(folder: Path) -> None:
    (folder / "images" / "3.png").unlink()
    path = save(folder, [f"images/{i}.png,{pets(i)}" for i in range(12)])
    with pytest.raises(
        DataError, match=r"1 of 12 images are broken.*\n.*3.png: cannot be read: No such file"
    ):
        load_path(path)
    [broken] = load_splits(settings(table=path, max_broken=0.1), 0).broken
    assert broken.path == str(folder / "images" / "3.png")


@pytest.mark.parametrize(
    ("head", "rows", "message"),
    [
        ("picture,label", ["a.png,x"], r"no column 'image' of the images' paths \(data.image_column\); its"),
        (
            "path,kind",
            ["a.png,x"],
            r"no column 'label' \(data.label_column\), nor a column of 0 and 1 for each",
        ),
        ("path,label", ["a.png,x", ",y"], "1 rows have no path, such as row 2"),
        ("path,label", ["a.png,x", "b.png,"], "1 rows have no label in the column 'label', such as row 2"),
        (
            "path,label",
            ["a.png,x", "b.png"],
            "row 2 has 1 cells; expected 2, one for each of the columns path",
        ),
        (
            "path,label",
            ["a.png,x", "a.png,y"],
            "a.png has two labels, x in row 1 and y in row 2; expected one",
        ),
        (
            "path,label",
            ["a.png,x", "b.png,y"],
            "none of its 2 images is found, such as .*a.png; expected paths",
        ),
        ("path,label", [], "no rows; expected one for each image below a row with the columns' names"),
        ("path,label,label", ["a.png,x,y"], "two columns are called 'label'; expected different names"),
        (
            "path,a,b",
            ["a.png,1,0", "b.png,1,1"],
            "1 rows have a 1 in none or in several of the columns a, b, such",
        ),
        (
            "path,label,split",
            ["a.png,x,holdout"],
            r"the column 'split' holds 'holdout' in row 1; expected train, ",
        ),
        ("path,label,split", ["a.png,x,val"], "the column 'split' holds no train; expected"),
    ],
)
def test_wrong_tables_of_labels(head: str, rows: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_path(save(tmp_path, rows, head))
    assert str(caught.value).startswith(str(tmp_path / "labels.csv"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_columns": ("a", "b")}, r"no column 'a' \(data.label_columns\); its columns: path, label"),
        ({"split_column": "fold"}, r"no column 'fold' \(data.split_column\)"),
        ({"table": "nowhere.csv"}, "nowhere.csv: no such file; expected a CSV or parquet file in data.table"),
    ],
)
def test_wrong_keys_for_a_table(values: dict[str, object], message: str, folder: Path) -> None:
    path = save(folder, [f"images/{i}.png,{pets(i)}" for i in range(12)])
    with pytest.raises(DataError, match=message):
        load_splits(settings(**{"table": path, **values}), 0)


def test_files_that_are_no_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(DataError, match=r"a\.csv: not a CSV file in UTF-8"):
        load_path(tmp_path / "a.csv")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"b\.parquet: not a parquet file"):
        load_splits(settings(table=tmp_path / "b.parquet"), 0)
    pq.write_table(pa.table({"image": [png(1)], "label": [1]}), tmp_path / "c.parquet")
    with pytest.raises(DataError, match="'image' does not hold paths; a parquet file that holds the images"):
        load_splits(settings(table=tmp_path / "c.parquet"), 0)
