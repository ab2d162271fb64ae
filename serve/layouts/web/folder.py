"""A folder with a page that answers in the browser alone; a double click on index.html opens it.

A page from a file may load scripts, but not fetch files. So the model and the WebAssembly binary are in
scripts, compressed and as base64.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

import onnxruntime

from files import replacing
from serve.artifact import ArtifactError, Metadata, find_artifact
from serve.layouts.web.runtime import load_runtime
from serve.model import read_metadata
from serve.tasks import find_task

PARTS = Path(__file__).parent
MARK = '<meta name="generator" content="graft export --layout web">'
"""In the page, so that only a page of Graft's own is replaced."""
PAGE, MODEL, RUNTIME, LICENCE = "index.html", "model.js", "runtime.js", "onnxruntime-LICENSE.txt"
CHUNK = 3 * 2**20
"""Bytes in one text of base64; browsers limit how long one may be."""
MAX_MB = 1000


def write_web(run: str | Path, out: Path, name: str | None = None) -> Path:
    """Write the page, the model and onnxruntime-web into a folder.

    In: `name` is the page's title, by default the spec's name. Out: the page.
    Raises: ArtifactError if the run has no usable file, onnxruntime-web cannot be had, or the folder is
    another's.
    """
    source = find_artifact(run)
    metadata = read_metadata(source)
    page = out / PAGE
    try:
        _check_free(page)
        if source.stat().st_size > MAX_MB * 10**6:
            raise ArtifactError(f"{source}: more than {MAX_MB} MB, too large for a page")
        runtime = load_runtime()
        binaries = {"glue": runtime.glue, "wasm": runtime.wasm}
        licence = Path(onnxruntime.__file__).with_name("LICENSE").read_text("utf-8")
        _write(out / LICENCE, licence)
        _write(out / RUNTIME, runtime.script.decode() + f"\nvar graftRuntime = {_packed(binaries)};\n")
        _write(
            out / MODEL, f"var graftModel = {_packed({'file': source.read_bytes()}, describe(metadata))};\n"
        )
        _write(page, fill_page(name or metadata.spec))
    except OSError as error:
        raise ArtifactError(f"{error.filename}: {error.strerror}. See --out") from error
    return page


def describe(metadata: Metadata) -> dict[str, object]:
    """Return what the page has to know of the model."""
    task = find_task(metadata.task)
    return {
        "labels": metadata.labels,
        "output": task.output.name,
        "colours": list(task.colours(metadata.labels).values()),
        "threshold": metadata.unknown and metadata.unknown.threshold,
        "set": metadata.sets and {"probability": metadata.sets.probability, "level": metadata.sets.level},
    }


def fill_page(title: str) -> str:
    """Return the page with its style and its script."""
    parts = {"TITLE": escape(title), "MARK": MARK}
    parts |= {name: (PARTS / name).read_text("utf-8") for name in ("page.css", "page.js")}
    page = (PARTS / "page.html").read_text("utf-8")
    return re.sub(r"\{\{ (\S+) \}\}", lambda found: parts[found[1]], page)


def _packed(binaries: Mapping[str, bytes], values: Mapping[str, object] | None = None) -> str:
    """Return a JSON object of the values and of the binaries, these compressed, as lists of base64."""
    packed: dict[str, object] = dict(values or {})
    for name, content in binaries.items():
        data = gzip.compress(content, 6, mtime=0)
        starts = range(0, len(data), CHUNK)
        packed[name] = [base64.b64encode(data[start : start + CHUNK]).decode() for start in starts]
    return json.dumps(packed)


def _check_free(page: Path) -> None:
    """Raises: ArtifactError if the folder has a page that is not Graft's."""
    if page.exists() and MARK not in page.read_text("utf-8", errors="replace"):
        raise ArtifactError(f"{page}: a page that Graft did not write. Expected another folder: see --out")


def _write(path: Path, text: str) -> None:
    with replacing(path) as new:
        new.write_text(text, "utf-8")
