"""The command lines start at once; `lint-imports` checks what imports what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("package", ["zoo", "finetune", "serve"])
def test_help_needs_no_torch_and_comes_at_once(package: str) -> None:
    code = (
        "import sys, runpy, time; start = time.perf_counter(); sys.argv = ['x', '--help']\n"
        f"try: runpy.run_module('{package}', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'onnxruntime', 'gradio'} & set(sys.modules)\n"
        "print(time.process_time(), sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    seconds, heavy = done.stdout.splitlines()[-1].split(" ", 1)
    assert heavy == "[]"
    assert float(seconds) < 0.25  # processor time: a busy machine does not count


def test_importing_serve_loads_no_libraries() -> None:
    libraries = {"numpy", "onnxruntime", "torch", "zoo", "finetune"}
    code = f"import sys, serve; print(sorted({libraries} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
