"""`make picture`: what `make finetune` prints, as an image for the README."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.document import machine
from finetune.api import run
from finetune.engine import progress as engine_progress
from finetune.runtime import console as runtime_console
from finetune.runtime.console import Terminal
from zoo.errors import GraftError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-background-networking", "--hide-scrollbars")
COLUMNS = 116
OUT = Path("docs/images/finetune.png")


def main(spec: str, data: str | None = None) -> None:
    """Run with nothing in the caches, and draw what a terminal shows at the end."""
    console = Terminal(record=True, width=COLUMNS)
    runtime_console.PLAIN_EVERY_S = engine_progress.PLAIN_EVERY_S = math.inf
    console.print(f"[dim]$ make finetune SPEC={spec}{f' DATA={data}' if data else ''}[/dim]")
    with tempfile.TemporaryDirectory() as cache:
        run(spec, data, {"finetune.cache": cache}, console=console)
    console.print()  # the last line of the picture is cut off below
    draw(console.export_svg(title=machine()), OUT)
    print(f"{OUT} written")


def draw(svg: str, out: Path) -> None:
    """Have a browser without a window draw the picture, in its own size.

    Raises: GraftError when no browser is there.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise GraftError(f"no browser to draw with\n  expected: one of {', '.join(BROWSERS)} on the PATH")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert size is not None, "an SVG says how large it is"
    width, height = (round(float(side)) for side in size.groups())
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(f'<meta charset="utf-8"><body style="margin:0">{svg}</body>')
        command = [browser, *OPTIONS, f"--window-size={width},{height}", f"--screenshot={out.resolve()}"]
        subprocess.run([*command, page.as_uri()], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main(*sys.argv[1:])
