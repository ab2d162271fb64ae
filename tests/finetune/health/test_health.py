"""Planted faults in a set of images are found, shown on a page and left out."""

from __future__ import annotations

import csv
import io
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from folder_kit import keys, load
from PIL import Image
from planted_kit import random_state, write_images, write_spec
from rich.console import Console

from finetune.data import SPLITS, FileImage
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import prepare
from finetune.features.frozen_pass import FrozenPass
from finetune.finished import get_splits
from finetune.health.check import Health
from finetune.health.command import show_health
from finetune.health.finding import format_table
from finetune.health.run import add_labels, describe_findings, read_health
from finetune.planning.choose import choose_plan
from finetune.probes.arithmetic import choose_arithmetic
from finetune.records.run_folder import RunFolder

SWAPPED = [("class_000", 5), ("class_001", 7), ("class_002", 9), ("class_003", 11), ("class_001", 13)]


@dataclass(frozen=True)
class Checked:
    root: Path
    out: Path
    health: Health
    printed: str

    def images(self, kind: str) -> list[str]:
        """The images of the findings of a kind, in order, within the folder."""
        found = [each.image for each in self.health.findings if each.kind == kind]
        return [str(Path(name).relative_to(self.root)) for name in found]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """Four classes of 40 coloured images, with faults planted among them."""
    place = tmp_path_factory.mktemp("health")
    root = write_images(place / "photos", classes=4, count=40)
    for name, number in SWAPPED:
        other = f"class_{(int(name[-1]) + 2) % 4:03d}"
        (root / name / f"{number}.png").rename(root / other / f"swapped{name[-1]}{number}.png")
    shutil.copy(root / "class_000/1.png", root / "class_000/copy.png")
    shutil.copy(root / "class_000/2.png", root / "class_003/other.png")
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(root / "class_000/black.png")
    (root / "class_002/broken.png").write_bytes(b"no image")
    spec = write_spec(place, random_state(place))
    console = Console(width=200, record=True, quiet=False, file=io.StringIO())
    settings = {"finetune.cache": str(place / "cache"), "finetune.precision": "float32"}
    health = show_health(spec, str(root), settings, out=place / "out", console=console)
    return Checked(root, place / "out", health, console.export_text())


def test_swapped_labels_are_the_first_suspects(checked: Checked) -> None:
    suspects = checked.images("label")
    swapped = {
        f"class_{(int(name[-1]) + 2) % 4:03d}/swapped{name[-1]}{number}.png" for name, number in SWAPPED
    }
    assert len(suspects) <= round(0.05 * checked.health.images)
    assert swapped <= {*suspects}
    [first, *_] = [each for each in checked.health.findings if each.kind == "label"]
    assert first.suggested not in ("", first.label) and "%" in first.detail


def test_copies_broken_and_odd_images_are_found(checked: Checked) -> None:
    assert checked.images("copy") == ["class_000/copy.png"]
    assert checked.images("classes") == ["class_003/other.png"]
    assert checked.images("broken") == ["class_002/broken.png"]
    assert "class_000/black.png" in checked.images("look")
    assert all(each.detail for each in checked.health.findings)


def test_the_table_leaves_out_what_it_marks(checked: Checked) -> None:
    with (checked.out / "health.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(checked.health.findings)
    assert {Path(row["image"]).name for row in rows if row["exclude"] == "yes"} == {"copy.png", "broken.png"}
    splits = load(checked.root, exclude=str(checked.out / "health.csv"))
    left = {key for part in keys(splits).values() for key in part}
    assert "class_000/copy.png" not in left and "class_000/1.png" in left and splits.broken == ()


def test_the_page_needs_no_network(checked: Checked) -> None:
    page = (checked.out / "health.html").read_text()
    assert not re.findall(r"https?://|src=\"(?!data:)|<link|@import", page)
    assert page.count('<img src="data:image/jpeg;base64,') >= len(checked.images("label"))
    assert "Perhaps a wrong label" in page and "class_000/black.png" in page


def test_what_is_printed(checked: Checked) -> None:
    assert f"163 images of 4 classes in {checked.root}" in checked.printed.replace("\n", "")
    for title in (
        "Perhaps a wrong label",
        "In several classes",
        "Odd size, brightness or colour",
        "Cannot be read",
    ):
        assert title in checked.printed
    assert "--set data.exclude=FILE" in checked.printed.replace("\n", " ")


def test_without_pretrained_weights_the_rest_is_checked(checked: Checked, tmp_path: Path) -> None:
    settings = {"finetune.weights": "none", "finetune.precision": "float32"}
    spec = checked.out.parent / "planted.yaml"
    health = show_health(spec, str(checked.root), settings, out=tmp_path, console=Console(quiet=True))
    assert any("labels and unlike images were not checked" in note for note in health.notes)
    kinds = {each.kind for each in health.findings}
    assert {"copy", "classes", "broken", "look"} <= kinds and not {"label", "outlier"} & kinds


def test_a_run_that_measures_similarity_alone_computes_no_features_for_its_health(
    checked: Checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.probes.network.ENOUGH_FOR_SIMILARITY", 60)
    keys = {"finetune.cache": str(tmp_path / "cache"), "finetune.precision": "float32"}
    spec = checked.root.parent / "planted.yaml"
    recipe = read_recipe(spec, str(checked.root), {**keys, "finetune.strategy": "full"})
    setup = choose_arithmetic(prepare(recipe, get_splits(recipe, RunFolder(tmp_path))))
    plan = choose_plan(setup)
    assert 50 <= plan.evidence.measured_images <= 70 < len(setup.train)
    monkeypatch.setattr(FrozenPass, "_columns", None)  # all that it needs is in the cache
    assert add_labels(setup, plan, RunFolder(tmp_path))


def test_a_run_tells_the_same_without_decoding_anything_again(checked: Checked, tmp_path: Path) -> None:
    place, folder = checked.root.parent, RunFolder(tmp_path)
    given = {"finetune.cache": str(place / "cache"), "finetune.precision": "float32"}
    recipe = read_recipe(
        place / "planted.yaml", str(checked.root), {**given, "finetune.strategy": "linear_probe"}
    )
    setup = prepare(recipe, get_splits(recipe, folder))
    assert {each.kind for each in read_health(folder)} == {"broken", "classes", "copy", "look"}
    plan = choose_plan(setup)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileImage, "decode", None)  # every image is at hand
        findings = add_labels(setup, plan, folder)
        assert add_labels(setup, plan, folder) == findings
    assert folder.health.read_text() == format_table(findings)
    doubted = {Path(each.image).name for each in findings if each.kind == "label"}
    learned = {Path(image.name).name for image in setup.splits.train.images if "swapped" in image.name}
    assert learned <= doubted
    assert re.search(r"in several classes 1, doubtful labels \d, .*copies 1", describe_findings(findings))
    exclude = read_recipe(
        place / "planted.yaml", str(checked.root), {**given, "data.exclude": str(folder.health)}
    )
    left = [Path(image.name).name for split in SPLITS for image in getattr(load_data(exclude), split).images]
    assert "copy.png" not in left and "other.png" in left
