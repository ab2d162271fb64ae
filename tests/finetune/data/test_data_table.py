"""Parquet files."""

import json
import pickle
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_kit import png, settings, write

from finetune.config.data import DataSettings, with_source
from finetune.data import DataError, load_splits, read_splits
from zoo.errors import GraftError


@pytest.fixture(autouse=True)
def cache_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_globs_splits_and_names(tmp_path: Path) -> None:
    write(tmp_path / "train-1.parquet", [1, 0] * 10, start=100, other=["x"] * 20)
    write(tmp_path / "train-0.parquet", [0, 1] * 10, other=["x"] * 20)
    write(tmp_path / "val-0.parquet", [0, 1, 1], start=200)
    (tmp_path / "names.json").write_text(
        json.dumps([{"wnid": "n1", "name": "cat"}, {"wnid": "n2", "name": "dog"}])
    )
    chosen = settings(
        parquet=tmp_path / "train-*.parquet",
        parquet_val=tmp_path / "val-*.parquet",
        class_names=tmp_path / "names.json",
    )
    splits = load_splits(chosen, 0)
    assert splits.classes == ("cat", "dog")
    assert splits.val.targets.tolist() == [0, 1, 1]
    assert all(1 <= count <= 6 for count in splits.test.counts(2))
    assert len(splits.train) + len(splits.test) == 40
    for image, target in zip(splits.train.images, splits.train.targets, strict=True):
        row = int(image.name.rsplit(" ", 1)[1])
        assert image.name == f"{tmp_path}/train-*.parquet row {row}"
        assert image.key == f"train/{row}"
        content = png(row if row < 20 else 80 + row)  # train-0 comes before train-1
        assert image.content() == content
        assert target == (row % 2 if row < 20 else 1 - row % 2)
    assert splits.train.images[0].read().shape == (5, 4, 3)
    again = read_splits(splits.to_record(), chosen)
    assert [image.name for image in again.test.images] == [image.name for image in splits.test.images]
    assert again.test.images[1].digest() == splits.test.images[1].digest()
    assert again.test.images[1].content() == splits.test.images[1].content()


def test_images_travel_to_workers_by_reference(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [0, 1] * 100)
    image = load_splits(settings(parquet=tmp_path / "a.parquet"), 0).train.images[3]
    sent = pickle.dumps(image)
    assert len(sent) < 10_000  # the table itself stays on disk
    assert pickle.loads(sent).content() == image.content()


def test_labels_that_are_strings(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", ["b10", "b9", "A"] * 5)
    assert load_splits(settings(parquet=tmp_path / "a.parquet"), 0).classes == ("A", "b9", "b10")


def test_labels_with_gaps_are_their_own_names(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [7, 2, 11] * 5)
    splits = load_splits(settings(parquet=tmp_path / "a.parquet"), 0)
    assert splits.classes == ("2", "7", "11")
    assert set(splits.train.targets.tolist()) == {0, 1, 2}


def test_other_column_names_and_plain_bytes(tmp_path: Path) -> None:
    table = pa.table({"img": [png(i) for i in range(12)], "fine": [True, False] * 6})
    pq.write_table(table, tmp_path / "a.parquet")
    chosen = settings(parquet=tmp_path / "a.parquet", image_column="img", label_column="fine")
    splits = load_splits(chosen, 0)
    assert splits.classes == ("False", "True")
    assert splits.val.images[0].read().shape == (5, 4, 3)


def test_images_outside_the_table(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    cells = [{"bytes": None, "path": str(tmp_path / f"{i}.png")} for i in range(12)]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    pq.write_table(pa.table({"image": pa.array(cells, kind), "label": [0, 1] * 6}), tmp_path / "a.parquet")
    (tmp_path / "5.png").unlink()
    splits = load_splits(settings(parquet=tmp_path / "a.parquet", max_broken=0.2), 0)
    assert [each.reason for each in splits.broken] == ["cannot be read: No such file or directory"]
    assert len(splits.train) + len(splits.val) + len(splits.test) == 11


def test_broken_rows_are_named(tmp_path: Path) -> None:
    cells = [{"bytes": png(i), "path": None} for i in range(40)]
    cells[3]["bytes"] = cells[3]["bytes"][:60]  # type: ignore[index]
    cells[8] = None  # type: ignore[call-overload]
    pq.write_table(pa.table({"image": cells, "label": [0, 1] * 20}), tmp_path / "a.parquet")
    broken = load_splits(settings(parquet=tmp_path / "a.parquet"), 0).broken
    assert [each.path for each in broken] == [f"{tmp_path}/a.parquet row 3", f"{tmp_path}/a.parquet row 8"]
    assert "truncated" in broken[0].reason
    assert broken[1].reason == "no image in this row"


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        ([0, 0, 0], {}, "one class only, 0; expected two or more"),
        ([0, 1, None] * 4, {}, "train: 4 rows have no label"),
        ([0.5, 1.5] * 4, {}, "labels are (double|float64); expected whole numbers or strings"),
        (
            [0, 1] * 4,
            {"label_column": "kind"},
            r"no column 'kind' \(data.label_column\); its columns: image, label",
        ),
        ([0, 1] * 4, {"image_column": "img"}, r"no column 'img' \(data.image_column\)"),
        (
            [0, 1] * 4,
            {"parquet": "nowhere/*.parquet"},
            r"no file matches nowhere/\*.parquet \(data.parquet, the train",
        ),
        (
            [0, 1] * 4,
            {"parquet_val": "no.parquet"},
            r"no file matches no.parquet \(data.parquet_val, the val images",
        ),
        ([0, 1], {}, "each class needs 3 different images or more"),
    ],
)
def test_wrong_tables(labels: list[Any], values: dict[str, object], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", labels)
    with pytest.raises(DataError, match=message):
        load_splits(settings(**{"parquet": path, **values}), 0)


def test_a_file_without_rows(tmp_path: Path) -> None:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    empty = pa.table({"image": pa.array([], kind), "label": pa.array([], pa.int64())})
    pq.write_table(empty, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"no rows in .*a\.parquet"):
        load_splits(settings(parquet=tmp_path / "a.parquet"), 0)
    write(tmp_path / "b.parquet", [0, 1] * 5)
    assert len(load_splits(settings(parquet=tmp_path / "*.parquet"), 0).train) == 6


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"a\.parquet cannot be read"):
        load_splits(settings(parquet=tmp_path / "a.parquet"), 0)


def test_classes_that_differ_between_files(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [0, 1] * 5)
    write(tmp_path / "b.parquet", [0, 2], start=50)
    with pytest.raises(DataError, match="train has no image of 2; val has no image of 1"):
        load_splits(settings(parquet=tmp_path / "a.parquet", parquet_val=tmp_path / "b.parquet"), 0)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ('["cat"]', "1 class names stand for labels 0 to 0; found 1"),
        ('["cat", "cat"]', "class names must differ; repeated: cat"),
        ("[1, 2]", "expected a list of strings"),
        ("{", "not a JSON list of names"),
        ("[]", "not a JSON list of names, one per class: found \\[\\]"),
        ('{"0": "cat", "1": "dog"}', 'not a JSON list of names, one per class: found {"0": "cat"'),
        ('"ab"', 'not a JSON list of names, one per class: found "ab"'),
        ('[{"label": "cat"}]', 'found {"label": "cat"}; expected a list of strings'),
    ],
)
def test_wrong_class_names(names: str, message: str, tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [0, 1] * 5)
    (tmp_path / "names.json").write_text(names)
    with pytest.raises(DataError, match=message):
        load_splits(settings(parquet=tmp_path / "a.parquet", class_names=tmp_path / "names.json"), 0)


def named(path: Path, names: list[str], start: int = 0) -> Path:
    """A parquet file whose labels carry their names."""
    features = datasets.Features(
        {"image": datasets.Image(decode=False), "label": datasets.ClassLabel(names=names)}
    )
    cells = [{"bytes": png(start + i), "path": None} for i in range(10)]
    datasets.Dataset.from_dict({"image": cells, "label": [0, 1] * 5}, features=features).to_parquet(path)
    return path


def test_names_in_another_order_are_told(tmp_path: Path) -> None:
    train = named(tmp_path / "train-a.parquet", ["cat", "dog"])
    val = named(tmp_path / "val.parquet", ["dog", "cat"], start=20)
    with pytest.raises(DataError, match=r"train: the labels .* are cat, dog; in .*val they are dog, cat"):
        load_splits(settings(parquet=train, parquet_val=val), 0)
    named(tmp_path / "train-b.parquet", ["dog", "cat"], start=40)
    several = settings(parquet=tmp_path / "train-*.parquet")
    with pytest.raises(DataError, match=r"train-a.parquet: .* in .*train-b.parquet they are dog, cat"):
        load_splits(several, 0)
    (tmp_path / "names.json").write_text('["one", "two"]')
    own = several.model_copy(update={"class_names": str(tmp_path / "names.json")})
    assert load_splits(own, 0).classes == ("one", "two")


def test_labels_of_another_kind_are_told(tmp_path: Path) -> None:
    train, val = (
        write(tmp_path / "a.parquet", ["x", "y"] * 5),
        write(tmp_path / "b.parquet", [0, 1], start=50),
    )
    with pytest.raises(DataError, match="train has strings, val has numbers; expected labels of one kind"):
        load_splits(settings(parquet=train, parquet_val=val), 0)
    lists = write(tmp_path / "c.parquet", [[0], [1]] * 5)
    with pytest.raises(DataError, match=r"labels are List.*; expected whole numbers or strings"):
        load_splits(settings(parquet=lists), 0)


def test_an_image_without_bytes_and_path_is_broken(tmp_path: Path) -> None:
    cells = [{"bytes": png(i), "path": None} for i in range(40)]
    cells[3]["bytes"] = None  # type: ignore[index]
    pq.write_table(pa.table({"image": cells, "label": [0, 1] * 20}), tmp_path / "a.parquet")
    [broken] = load_splits(settings(parquet=tmp_path / "a.parquet"), 0).broken
    assert broken.reason == "no image in this row"


def test_a_folder_whose_name_reads_as_a_pattern(tmp_path: Path) -> None:
    path = write(tmp_path / "my[1]" / "train.parquet", [0, 1] * 5)
    for place in (path, path.parent):
        assert len(load_splits(with_source(DataSettings(), place), 0).train) == 6


def test_labels_without_names_are_not_called_digits(tmp_path: Path) -> None:
    write(tmp_path / "numbers.parquet", [0, 1] * 6)
    write(tmp_path / "words.parquet", ["0", "1"] * 6)
    numbers, words = (
        load_splits(settings(parquet=tmp_path / f"{name}.parquet"), 0) for name in ("numbers", "words")
    )
    assert numbers.classes == words.classes == ("0", "1")
    assert numbers.given_names == () and words.given_names == ("0", "1")
    assert not read_splits(numbers.to_record(), settings(parquet=tmp_path / "numbers.parquet")).named


def test_files_of_any_case_and_name_of_a_split(tmp_path: Path) -> None:
    root = tmp_path / "tables"
    write(root / "Training-0.parquet", [0, 1] * 6)
    write(root / "DEV.parquet", [0, 1], start=50)
    write(root / "testing_a.parquet", [0, 1], start=60)
    write(root / "extra.parquet", [0, 1], start=70)
    (root / "README.md").write_text("photos")
    splits = load_splits(with_source(DataSettings(), root), 0)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (12, 2, 2)
    assert splits.warnings == (
        f"{root}: left out: 1 .parquet file, such as extra.parquet; 1 .md file, such as README.md",
    )
    write(root / "valid.parquet", [0, 1])
    with pytest.raises(GraftError, match=r"valid\*\.parquet and DEV\*\.parquet are both val"):
        with_source(DataSettings(), root)
