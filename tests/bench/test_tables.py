"""What benchmarks write: tables from logs, and runs that are not repeated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import rates, recipe, transfer
from bench.document import machine, spread, write_between, write_or_print
from bench.draw import few
from bench.pool import Line, read_log, run_all
from bench.techniques import NOTHING
from finetune.config import DataSettings
from finetune.data import load_splits
from finetune.experiment.recipe import read_recipe


@dataclass(frozen=True)
class Square:
    number: int


def square(task: Square) -> Line:
    return {"result": task.number**2}


def test_a_run_that_stands_in_the_log_is_not_repeated(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"number": 2, "result": -1}) + "\n")
    run_all([Square(1), Square(2), Square(3)], square, log)
    assert {line["number"]: line["result"] for line in read_log(log)} == {1: 1, 2: -1, 3: 9}


def test_text_goes_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- table -->\nold\n<!-- /table -->\nafter\n")
    write_between(path, "table", "new")
    assert path.read_text() == "before\n<!-- table -->\nnew\n<!-- /table -->\nafter\n"
    with pytest.raises(ValueError, match="expected <!-- other -->"):
        write_between(path, "other", "new")


def test_text_without_a_place_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- table -->\nold\n<!-- /table -->\nafter\n")
    write_or_print(path, "another", "new")
    assert capsys.readouterr().out == "new\n" and "old" in path.read_text()
    write_or_print(path, "table", "new")
    assert path.read_text() == "before\n<!-- table -->\nnew\n<!-- /table -->\nafter\n"


def test_figures_carry_their_machine() -> None:
    assert " cores of " in machine()
    assert "torch 2" in machine()
    assert [spread([]), spread([90.0]), spread([90.0, 92.0])] == ["—", "90.0", "91.0 ± 1.4"]


def test_every_technique_is_a_recipe() -> None:
    for values in recipe.EVERY.values():
        spec = read_recipe(recipe.SPEC, set={**recipe.SHARED, **values, "finetune.epochs": 1})
        assert spec.name == recipe.SPEC


def test_the_recipes_table_tells_the_gain() -> None:
    lines = [
        {"data": "digits", "technique": name, "seed": seed, "accuracy": accuracy + seed / 100}
        for name, accuracy in ((NOTHING, 0.9), ("cosine schedule", 0.93))
        for seed in (0, 2)
    ]
    rows = recipe.table(lines).splitlines()
    assert f"| {NOTHING} | 91.0 ± 1.4 | +0.0 |" in rows
    assert "| cosine schedule | 94.0 ± 1.4 | +3.0 |" in rows
    assert not [row for row in rows if "mixup" in row]


def test_the_subset_has_every_tenth_class(tmp_path: Path) -> None:
    labels = np.arange(200).repeat(3)
    for split in ("train", "val"):
        table = pa.table({"image": [{"bytes": bytes([n % 7])} for n in labels], "label": labels})
        pq.write_table(table, tmp_path / f"{split}-0.parquet")
    (tmp_path / "classes.json").write_text(json.dumps([f"class {n}" for n in range(200)]))
    found = recipe.subset(tmp_path, tmp_path / "subset")
    assert json.loads((found / "classes.json").read_text())[:3] == ["class 0", "class 10", "class 20"]
    assert pq.read_table(found / "train.parquet")["label"].to_pylist() == sorted(list(range(20)) * 3)
    assert len(pq.read_table(found / "test.parquet")) == 60


def test_few_images_are_drawn_and_some_held_back() -> None:
    splits = load_splits(DataSettings(builtin="digits"), 0)
    drawn = few(splits, 10, seed=1)
    assert drawn.train.counts(10) == [8] * 10
    assert drawn.val.counts(10) == [2] * 10
    names = {image.key for image in drawn.train.images} | {image.key for image in drawn.val.images}
    assert len(names) == 100
    assert names <= {image.key for image in splits.train.images}
    assert few(splits, None, seed=1) == splits


def test_the_transfer_table_has_a_line_a_size() -> None:
    lines = [
        {"data": "digits", "images": images, "way": way, "accuracy": 0.5}
        for images in transfer.SIZES
        for way in transfer.WAYS
    ]
    (table,) = transfer.tables(lines)
    assert len(table.splitlines()) == 2 + len(transfer.SIZES)
    assert "| all | 50.0 | 50.0 | 50.0 | 50.0 |" in table


def test_the_table_of_rates_has_a_column_for_each_factor() -> None:
    found = [0.6, 0.8]
    lines = [
        {"data": "digits", "images": 5, "way": rates.way_of("full", factor), "draw": draw, "accuracy": value}
        for factor in rates.FACTORS[:2]
        for draw, value in enumerate(found)
    ]
    *_, row = rates.table(lines, "full").splitlines()
    assert row == "| digits, 5 | 70.0 ± 14.1 | 70.0 ± 14.1 | — |"


@pytest.mark.parametrize("name", ["resnet_small", "resnet_tiny"])
def test_the_strategies_of_what_ships_have_their_place(name: str) -> None:
    page = Path("docs/strategy-measurements.md").read_text()
    assert all(page.count(f"<!-- {mark} {name} -->") == 1 for mark in ("strategy", "/strategy", "switches"))


def test_the_transfer_table_has_its_place() -> None:
    assert "<!-- transfer resnet_small -->" in Path("docs/pretraining.md").read_text()
