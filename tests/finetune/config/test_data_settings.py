"""The `data` section: one source at a time, sensible defaults, and what DATA=path means."""

from pathlib import Path

import pytest
from pydantic import ValidationError

import zoo
from finetune.config.data import DataSettings, with_source


def test_digits_are_the_default() -> None:
    assert DataSettings().source == "builtin"
    assert DataSettings.model_validate({"builtin": None, "test": 0.2}).builtin == "digits"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"builtin": "digits", "folder": "photos"}, "expected one source; found 2: builtin, folder"),
        (
            {"folder": "photos", "parquet_val": "v.parquet"},
            "parquet_val needs the source parquet; found folder",
        ),
        ({"folder": "photos", "hub_config": "small"}, "hub_config needs the source hub"),
        ({"folder": "photos", "class_names": "c.json"}, "class_names needs the source table, parquet or hub"),
        ({"folder": "photos", "image_folder": "x"}, "image_folder needs the source table; found folder"),
        ({"table": "t.csv", "label_columns": ["a"]}, "at least 2 items"),
        ({"val": 0.5, "test": 0.5}, "leave no training images"),
        ({"val": 0.0}, "greater than 0"),
        ({"max_broken": 1.5}, "less than or equal to 1"),
        ({"workers": "2"}, "valid integer"),
        ({"similarity": "near"}, "'auto', 'similar' or 'different'"),
        ({"foldr": "photos"}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DataSettings.model_validate(values)
    assert message in str(caught.value)


def test_settings_are_equal_after_writing_and_reading() -> None:
    settings = DataSettings(parquet="a*.parquet", parquet_val="b.parquet", class_names="c.json", val=0.2)
    assert DataSettings.model_validate(settings.model_dump(exclude_none=True)) == settings


def test_a_path_replaces_any_source() -> None:
    old = DataSettings(parquet="a.parquet", parquet_val="b.parquet", class_names="c.json", test=0.3)
    new = with_source(old, "photos")
    assert (new.source, new.folder, new.test) == ("folder", "photos", 0.3)
    assert with_source(DataSettings(), "x/*.parquet").parquet == "x/*.parquet"
    assert with_source(old, "labels.CSV").table == "labels.CSV"


def test_splits_are_read_from_the_names_of_parquet_files(tmp_path: Path) -> None:
    for name in ("train-0.parquet", "train-1.parquet", "validation-0.parquet", "classes.json"):
        (tmp_path / name).write_bytes(b"")
    found = with_source(DataSettings(), tmp_path)
    assert found.parquet == str(tmp_path / "train*.parquet")
    assert found.parquet_val == str(tmp_path / "validation*.parquet")
    assert found.parquet_test is None
    assert found.class_names == str(tmp_path / "classes.json")


def test_parquet_files_of_any_name_are_one_pool(tmp_path: Path) -> None:
    (tmp_path / "photos.parquet").write_bytes(b"")
    assert with_source(DataSettings(), str(tmp_path)).parquet == str(tmp_path / "*.parquet")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[0, 255]", (0, 255)), ("[[0, 0, 0], [128, 64, 128]]", ((0, 0, 0), (128, 64, 128)))],
)
def test_mask_values_are_read_from_a_spec(text: str, expected: object) -> None:
    spec = zoo.read_spec("specs/examples/unet.yaml", {"data.folder": "scenes", "data.mask_values": text})
    settings = spec.sections["data"]
    assert isinstance(settings, DataSettings)
    assert settings.mask_values == expected
