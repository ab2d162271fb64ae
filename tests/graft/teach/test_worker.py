"""The process that learns: few images, and images of one video, are learned from as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graft.teach.worker import Lines, describe, learn


def write_frames(folder: Path, name: str, pixels: np.ndarray, count: int) -> None:
    """Images of one view, each a little brighter than the one before."""
    home = folder / name
    home.mkdir(parents=True)
    for number in range(count):
        frame = np.clip(pixels.astype(int) + number, 0, 255).astype(np.uint8)
        Image.fromarray(frame).save(home / f"{number:03}.png")


def test_frames_of_a_video_are_learned_and_a_broken_file_is_named(tmp_path: Path, unexported: None) -> None:
    random, run = np.random.default_rng(0), tmp_path / "run"
    for name in ("left", "right"):
        view = np.asarray(Image.fromarray(random.integers(0, 255, (4, 4, 3), np.uint8)).resize((64, 64)))
        write_frames(run / "data", name, view, 3)
    (run / "data" / "left" / "004.jpg").write_text("no image")
    said: list[str] = []
    found = describe(learn("resnet_tiny", run / "data", run, said.append))
    assert (found["network"], found["labels"]) == ("resnet_tiny", ["left", "right"])
    assert (found["images"], found["accuracy"]["value"]) == (2, 1.0)  # one of each is held out
    assert [Path(file["path"]).name for file in found["broken"]] == ["004.jpg"]
    assert "frames of one video" in " ".join(found["warnings"])
    assert any(line.startswith("Found 6 images of 2 classes") for line in said)
    assert len([*(run / "data").rglob("*.*")]) == 7


def test_lines_are_handed_on_whole() -> None:
    said: list[str] = []
    lines = Lines(said.append)
    for part in ("one", " and a half\n\n", "two\nthr", "ee"):
        lines.write(part)
    assert said == ["one and a half", "two"]


@pytest.mark.parametrize("images", [{"cup": 3}, {"cup": 3, "spoon": 0}])
def test_what_the_engine_refuses_is_an_error_with_words(tmp_path: Path, images: dict[str, int]) -> None:
    from zoo.errors import GraftError

    for name, count in images.items():
        write_frames(tmp_path / "data", name, np.zeros((40, 40, 3), np.uint8), count)
    with pytest.raises(GraftError):
        learn("resnet_tiny", tmp_path / "data", tmp_path, lambda text: None)
