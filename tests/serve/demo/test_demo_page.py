"""The demo in a real browser: pictures in, classes on the page; nothing is fetched from elsewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser_kit import find_chromium, open_browser, serve_demo
from digits_kit import DigitsModel, save_png
from numpy.typing import NDArray
from playwright.sync_api import BrowserContext, expect

from bench.bombs import wide_png
from serve import Predictor

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[tuple[BrowserContext, list[str]]]:
    find_chromium()
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, browser: object) -> Iterator[tuple[str, Path, Path]]:
    """The address of a demo over a folder of runs that does not exist yet, the folder, and the log."""
    folder = tmp_path_factory.mktemp("demo")
    with serve_demo(folder / "runs", folder / "log.txt") as address:
        yield address, folder / "runs", folder / "log.txt"


def test_page_from_first_visit_to_answers(
    tmp_path: Path,
    browser: tuple[BrowserContext, list[str]],
    demo: tuple[str, Path, Path],
    digits_model: DigitsModel,
    digits: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> None:
    (context, strangers), (address, runs, log) = browser, demo
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    page.goto(address)  # no run yet: the page says what makes one
    expect(page.get_by_text("make finetune SPEC=specs/resnet_small.yaml")).to_be_visible()
    expect(page.get_by_label("Model")).to_be_hidden()

    shutil.copytree(digits_model.runs, runs)  # a run appears; a reload finds it
    broken = runs / "digits_tiny" / "20260101-000000" / "model.onnx"
    broken.parent.mkdir()
    broken.write_bytes(digits_model.path.read_bytes()[:3000])
    page.reload()
    title = rf"digits_tiny/.* · {digits_model.accuracy:.1%}"
    expect(page.get_by_label("Model")).to_have_value(re.compile(title))
    expect(page.get_by_text("a test's own training")).to_be_visible()
    expect(page.get_by_text("Apache-2.0")).to_be_visible()
    expect(page.get_by_text("equal to the trained network on 100 images")).to_be_visible()
    expect(page.get_by_text("Skipped:")).to_contain_text("not a readable ONNX file")
    expect(page.get_by_text("make finetune")).to_be_hidden()

    predictor = Predictor(digits_model.path)
    images, targets = digits
    right = [i for i in range(20) if predictor(images[i])[0][0] == str(targets[i])][:2]
    files = [save_png(tmp_path / f"digit {i}.png", images[i]) for i in right]
    notes = tmp_path / "notes & <i>more.jpg"
    notes.write_text("milk, eggs")
    wide = tmp_path / "wide.png"
    wide.write_bytes(wide_png(300_000, 16))
    page.set_input_files("input[type=file]", [*files, notes, wide])
    cards = page.locator(".graft-card")
    expect(cards).to_have_count(4)
    for place, i in enumerate(right):
        expect(cards.nth(place).locator(".graft-best")).to_have_text(str(targets[i]))
        rows = cards.nth(place).locator(".graft-row").all_inner_texts()
        expected = [f"{label}\n{value:.1%}" for label, value in predictor(images[i])[:5]]
        assert [re.sub(r"\s+", "\n", row.strip()) for row in rows] == expected
    expect(cards.nth(2)).to_contain_text("This file could not be read as an image.")
    expect(cards.nth(2)).to_contain_text("not a JPEG, PNG")
    expect(cards.nth(3)).to_contain_text("a side may have at most 32,768")
    uploads = [file for file in log.with_name("temporary").rglob("*.*") if file.is_file()]
    assert len(uploads) == 4
    assert all(file.stat().st_size for file in uploads)  # Gradio writes an empty file beside each

    assert strangers == []
    assert errors == []
    imported = {
        line.rsplit("|", 1)[1].strip() for line in log.read_text().splitlines() if line.count("|") == 2
    }
    assert "gradio" in imported
    assert imported & {"torch", "onnx", "zoo", "finetune"} == set()
