"""`make picture`: what `make plan` prints, as an image for the README."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench.document import machine
from finetune.api import make_plan
from zoo.errors import GraftError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-background-networking", "--hide-scrollbars")
COLUMNS = 112
OUT = Path("docs/images/plan.png")


def main(spec: str, data: str | None = None) -> None:
    """Choose a plan with nothing in the caches, and draw it as a terminal shows it."""
    console = Console(record=True, highlight=False, width=COLUMNS, force_terminal=True)
    console.print(f"[dim]$ make plan SPEC={spec}{f' DATA={data}' if data else ''}[/dim]")
    with tempfile.TemporaryDirectory() as cache:
        make_plan(spec, data, {"finetune.cache": cache}, console=console)
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
