"""Reading and checking a recipe needs none of the libraries that train it."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"numpy", "torch", "torchvision", "timm", "torchmetrics", "sklearn"}


def test_the_sections_are_read_without_torch() -> None:
    code = (
        "import sys, time\n"
        "from finetune.config import SECTIONS\n"
        "for name, section in SECTIONS.items():\n"
        "    section.model_validate([] if name == 'augment' else {})\n"
        f"print(time.process_time(), sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.split(" ", 1)
    assert heavy.strip() == "[]"
    # Processor time, so that a busy machine does not count; it includes the start of Python.
    assert float(seconds) < 0.8
