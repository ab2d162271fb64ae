"""Teaching in a real browser: two classes of ten images each, and the file that comes of it.

`GRAFT_PICTURE=docs/images/teach.png` makes the picture for the documents meanwhile.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_kit import find_chromium, open_browser, serve_demo
from PIL import Image
from playwright.sync_api import Page, expect
from shapes_kit import write_shapes

from serve import Predictor

pytestmark = pytest.mark.browser
NAMES = ("disc", "stripes & bars")
TAUGHT = 10


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, Path]]:
    """The page, and the folder of runs."""
    find_chromium()
    folder = tmp_path_factory.mktemp("teach")
    command = ("graft", "demo", "--network", "resnet_tiny")
    with (
        serve_demo(folder / "runs", folder / "log.txt", *command) as address,
        open_browser() as (context, strangers),
    ):
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        yield page, folder / "runs"
        assert strangers == []
        assert errors == []


def test_two_classes_are_taught_and_the_file_answers_the_same(
    taught: tuple[Page, Path], tmp_path: Path
) -> None:
    page, runs = taught
    images = write_shapes(tmp_path / "images", 2 * TAUGHT)
    page.get_by_role("tab", name="Teach").click()
    press = page.get_by_role("button", name="Teach", exact=True)
    names = [page.get_by_placeholder(f"Name of class {number}") for number in (1, 2)]
    fields = page.locator(".graft-class input[type=file]")

    names[0].fill("../disc")
    press.click()
    expect(page.locator(".graft-error")).to_contain_text("The name ../disc contains /.")

    for name, text in zip(names, NAMES, strict=True):
        name.fill(text)
    for number, several in enumerate(images):
        fields.nth(number).set_input_files(several[:TAUGHT])
    expect(page.locator(".graft-class .thumbnail-item")).to_have_count(2 * TAUGHT)
    press.click()
    result = page.locator(".graft-result")
    result.wait_for(timeout=120_000)
    expect(result).to_contain_text("of 20 right")
    (run,) = (runs / "teach").iterdir()
    expect(result).to_contain_text(f"runs/teach/{run.name}")

    field = page.locator(".graft-trial .graft-images input[type=file]").first
    if picture := os.environ.get("GRAFT_PICTURE"):
        field.set_input_files([images[1][TAUGHT]])
        expect(page.locator(".graft-trial .graft-card")).to_have_count(1)
        shot = io.BytesIO(page.screenshot(full_page=True))
        Image.open(shot).convert("RGB").quantize(64).save(picture, optimize=True)
        page.locator(".graft-trial .graft-images button[aria-label=Clear]").first.click()
    field.set_input_files([file for several in images for file in several[TAUGHT:]])
    cards = page.locator(".graft-trial .graft-card")
    expect(cards).to_have_count(20)
    answers = cards.locator(".graft-best").all_inner_texts()
    truth = [NAMES[0]] * TAUGHT + [NAMES[1]] * TAUGHT
    assert sum(answer == label for answer, label in zip(answers, truth, strict=True)) >= 18

    with page.expect_download() as download:
        page.locator(".graft-trial a[download]").nth(0).click()
    file = shutil.copy(download.value.path(), tmp_path / "model.onnx")
    predictor = Predictor(file)
    others = [predictor(path) for several in images for path in several[TAUGHT:]]
    assert [answer[0][0] for answer in others] == answers
    shown = cards.evaluate_all("cards => cards.map(card => card.querySelector('.graft-row').innerText)")
    assert all(f"{answer[0][1]:.1%}" in text for answer, text in zip(others, shown, strict=True))

    with page.expect_download() as download:
        page.locator(".graft-trial a[download]").nth(1).click()
    with zipfile.ZipFile(download.value.path()) as zipped:
        assert len(zipped.namelist()) == 2 * TAUGHT
        assert {name.split("/")[0] for name in zipped.namelist()} == set(NAMES)

    page.get_by_role("tab", name="Try").click()  # what was taught is among the models
    expect(page.locator(".graft-model input").first).to_have_value(re.compile(f"teach/{run.name}"))
