"""The picture of a printed plan: drawn by a browser, in its own size."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bench import picture
from zoo.errors import GraftError

NEEDS_BROWSER = pytest.mark.skipif(
    not any(map(shutil.which, picture.BROWSERS)) and os.environ.get("GRAFT_REQUIRE_BROWSER") != "1",
    reason=f"no browser: none of {', '.join(picture.BROWSERS)} is installed",
)


def test_without_a_browser_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GraftError, match="one of chromium"):
        picture.draw("<svg/>", tmp_path / "plan.png")
    assert not (tmp_path / "plan.png").exists()


@NEEDS_BROWSER
def test_all_that_was_printed_is_in_the_picture(tmp_path: Path) -> None:
    sizes = []
    for lines in (5, 20):
        console = Console(record=True, width=60, force_terminal=True, file=io.StringIO())
        for line in range(lines):
            console.print(f"[bold green]line {line}[/bold green]")
        out = tmp_path / f"{lines}.png"
        picture.draw(console.export_svg(title="a plan"), out)
        with Image.open(out) as image:
            sizes.append(image.size)
            red, green, blue = np.asarray(image.convert("RGB"), dtype=int).transpose(2, 0, 1)
        assert ((green > red + 40) & (green > blue + 40)).any()
    assert sizes[0][0] == sizes[1][0] > 60
    assert sizes[1][1] - sizes[0][1] > 15 * 15
