"""A folder for the browser alone: opened as a file, without a network, it gives the Predictor's answers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from browser_kit import find_chromium, open_browser
from call_kit import Call
from digits_kit import ONNX_WEB, DigitsModel, MaskModel, save_png, smooth_images
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page

from serve import Predictor
from serve.artifact import ArtifactError
from serve.layouts.web import runtime
from serve.layouts.web.folder import PAGE

browser = pytest.mark.browser
LOADED = "document.getElementById('status').textContent === ''"


@pytest.fixture(scope="module")
def fetched() -> None:
    """The runtime is in the cache folder; skips where npm, or the network that it needs, is missing."""
    try:
        runtime.load_runtime()
    except ArtifactError as error:
        give_up = pytest.fail if os.environ.get("GRAFT_REQUIRE_NODE") == "1" else pytest.skip
        give_up(f"onnxruntime-web cannot be had: {error}")


def ask(page: Page, *files: Path) -> list[dict[str, object]]:
    """Choose files on the page; what it answers for each, in their order."""
    before = page.evaluate("answered.length")
    page.set_input_files("#files", files)
    page.wait_for_function(f"answered.length === {before + len(files)}")
    found: list[dict[str, object]] = page.evaluate(f"answered.slice(0, {len(files)}).reverse()")
    return found


@browser
@pytest.mark.usefixtures("fetched")
def test_the_page_gives_the_predictors_answers_as_a_file_and_offline(
    call: Call,
    tmp_path: Path,
    digits_model: DigitsModel,
    digits: tuple[NDArray[np.uint8], object],
    mask_model: MaskModel,
) -> None:
    find_chromium()
    out, masks = tmp_path / "page", tmp_path / "masks"
    arguments = ("export", digits_model.folder, "--layout", "web", "--name", "<Digits>")
    code, printed, err = call(*arguments, "--out", out)
    assert (code, printed, err) == (0, f"{out / PAGE}: open it in a browser\n", "")
    assert sorted(file.name for file in out.iterdir()) == [
        "index.html",
        "model.js",
        "onnxruntime-LICENSE.txt",
        "runtime.js",
    ]
    assert call("export", mask_model.path, "--layout", "web", "--out", masks)[0] == 0
    image = Image.fromarray(digits[0][0])
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L").point(lambda value: 255 * (value < 128)))
    turned, exif = image.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6
    files = [tmp_path / name for name in ("plain.png", "clear.png", "turned.png", "noise.png")]
    image.save(files[0])
    clear.save(files[1])
    turned.save(files[2], exif=exif)
    save_png(files[3], np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8))
    predictor = Predictor(digits_model.path)
    with open_browser() as (context, strangers):
        context.set_offline(True)
        page = context.new_page()
        page.goto((out / PAGE).as_uri())
        page.wait_for_function(LOADED)
        for file, found in zip(files, ask(page, *files), strict=True):
            expected = predictor.predict(file)
            assert found["name"] == file.name
            # another build of the same kernels sums float32 in another order
            assert found["answer"] == pytest.approx(dict(expected.answer), abs=1e-5)
            assert found["unknown"] == pytest.approx(expected.unknown, rel=1e-3)
            card = page.locator(".card", has_text=file.name)
            best = "unknown" if expected.unlike else expected.answer[0][0]
            assert card.locator(".best").inner_text() == best
            assert card.locator(".row").count() == 5
        assert page.locator("h1").inner_text() == "<Digits>" and predictor.predict(files[3]).unlike
        (tmp_path / "notes.png").write_text("milk, eggs")
        page.set_input_files("#files", tmp_path / "notes.png")
        page.wait_for_function("document.querySelectorAll('.card').length === 5")
        assert "notes.png: this file could not be read" in page.locator(".card.bad").inner_text()
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.goto((masks / PAGE).as_uri())
        page.wait_for_function(LOADED)
        pixels = smooth_images((50, 80))[0]
        [found] = ask(page, save_png(tmp_path / "sea.png", pixels))
        segmenter = Predictor(mask_model.path).predict(pixels)
        assert found["answer"] == pytest.approx(dict(segmenter.answer), abs=1e-3)
        drawn = page.evaluate(
            "(() => { const c = document.querySelector('canvas');"
            " return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data] })()"
        )
        painted = np.array(drawn, np.uint8).reshape(50, 80, 4)[..., :3]
        same = (painted == predictor_drawing(mask_model, pixels)).all(axis=2)
        assert same.mean() > 0.995  # a pixel between two classes may fall to either
        assert strangers == []


def predictor_drawing(model: MaskModel, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    predictor = Predictor(model.path)
    return predictor.task.draw(pixels, predictor.output(pixels))


def test_a_page_of_somebody_else_is_kept(call: Call, digits_model: DigitsModel, tmp_path: Path) -> None:
    page = tmp_path / PAGE
    page.write_text("my own")
    code, _, err = call("export", digits_model.folder, "--layout", "web", "--out", tmp_path)
    assert (code, page.read_text()) == (2, "my own")
    assert err.startswith(f"{page}: a page that Graft did not write. Expected another folder: see --out")


def test_without_npm_or_a_network_the_message_says_what_to_put_where(
    call: Call, digits_model: DigitsModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    export = ("export", digits_model.folder, "--layout", "web", "--out", tmp_path / "page")
    archive = tmp_path / "cache" / "web" / "onnxruntime-web-1.30.0.tgz"
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = call(*export)
    assert code == 2 and "npm is not installed" in err
    assert f"copy it to {archive}" in err and runtime.SHA512 in err
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho npm error network nobody answers >&2\nexit 1\n")
    npm.chmod(0o755)
    code, _, err = call(*export)
    assert code == 2 and "npm could not fetch it: network nobody answers" in err
    npm.write_text(f"#!/bin/sh\necho broken > {archive.name}\n")
    code, _, err = call(*export)
    assert code == 2 and "npm fetched another file" in err
    assert list(archive.parent.iterdir()) == []
    archive.write_text("cut")
    code, _, err = call(*export)
    assert code == 2 and f"{archive}: not the published file" in err
    assert not (tmp_path / "page").exists()


def test_the_pinned_hash_is_that_of_the_lock_of_npm() -> None:
    lock = (ONNX_WEB / "package-lock.json").read_text()
    assert f'"version": "{runtime.VERSION}",\n      "integrity": "sha512-{runtime.SHA512}"' in lock
