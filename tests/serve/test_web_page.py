"""The documented JavaScript in a real browser: the same answers as Python's."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browser_kit import find_chromium, open_browser
from digits_kit import ONNX_WEB, DigitsModel
from numpy.typing import NDArray
from PIL import Image

from serve import Predictor

pytestmark = pytest.mark.browser

DOCUMENT = Path(__file__).parents[2] / "docs" / "artifact.md"
PAGE = """<!doctype html><meta charset="utf-8"><input type="file">
<script type="importmap">{"imports": {"onnxruntime-web": "./ort.wasm.bundle.min.mjs"}}</script>
<script type="module">
import * as ort from "onnxruntime-web";
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = location.origin + "/";
document.querySelector("input").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  LINES
  window.answer = answer;
});
window.ready = true;
</script>"""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path, node: str, digits_model: DigitsModel) -> Iterator[str]:
    """A page that holds the documented lines, beside the model, its metadata and onnxruntime-web."""
    found = re.search(r"<!-- load-javascript -->\s*```js\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    lines = found[1].splitlines()
    assert len([line for line in lines if line.strip()]) <= 10
    (tmp_path / "index.html").write_text(PAGE.replace("LINES", "\n  ".join(lines[1:])))
    (tmp_path / "model.json").write_text(json.dumps(asdict(Predictor(digits_model.path).metadata)))
    shutil.copy(digits_model.path, tmp_path)
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        shutil.copy(ONNX_WEB / "node_modules" / "onnxruntime-web" / "dist" / name, tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_documented_javascript_gives_the_predictors_answers(
    tmp_path: Path, site: str, digits_model: DigitsModel, digits: tuple[NDArray[np.uint8], object]
) -> None:
    find_chromium()
    image = Image.fromarray(digits[0][0]).resize((60, 44), Image.Resampling.BICUBIC)
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L").point(lambda value: 255 * (value < 128)))
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [tmp_path / name for name in ("plain.png", "clear.png", "turned.png")]
    image.save(files[0])
    clear.save(files[1])
    turned.save(files[2], exif=exif)
    predictor = Predictor(digits_model.path)
    with open_browser() as (context, strangers):
        page = context.new_page()
        for file in files:
            page.goto(site)
            page.wait_for_function("window.ready")
            page.set_input_files("input", file)
            page.wait_for_function("window.answer")
            answer = page.evaluate("window.answer")
            expected = predictor(file)
            assert answer[0][0] == expected[0][0]
            # another build of the same kernels sums float32 in another order
            assert dict(answer) == pytest.approx(dict(expected), abs=1e-5)
        assert strangers == []
