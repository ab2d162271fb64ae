"""Make the environment that the Makefile uses: `python3 install.py VENV [--dev] [--torch auto|cpu|cuda]`.

It makes VENV, installs uv into it, and then what requirements.lock pins; `--dev` adds requirements-dev.lock.
On Linux without an NVIDIA GPU, torch and torchvision come as CPU builds from PyTorch's own index, about a
seventh of the download. Where that index is not reached, they come from the package registry like the rest.
The variable TORCH_INDEX names another index of the same form.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
LOCK, DEV_LOCK = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
SIZE = {"cpu": "about 0.7 GB", "cuda": "about 3.3 GB"}
"""All wheels for Linux on x86-64, from the sizes that the registry states (2026-11-28); a CPU build of torch
has about 0.2 GB, which was not measured here."""
TORCH = ("torch", "torchvision")
OF_CUDA = re.compile(r"nvidia-.*|cuda-.*|triton")


def main() -> int:
    """Install, and return the exit status."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        print(f"Graft needs Python 3.11 or newer; found {found} at {sys.executable}", file=sys.stderr)
        print("  try: make PYTHON=python3.11 followed by the target", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("venv", type=Path, help="folder of the environment")
    parser.add_argument("--dev", action="store_true", help="install what tests and checks need, too")
    parser.add_argument("--torch", choices=["auto", "cpu", "cuda"], default="auto", help="build of torch")
    given = parser.parse_args()
    try:
        uv = make_venv(given.venv)
        install_lock(uv, given.torch)
        if given.dev:
            run([*uv, "--require-hashes", "-r", DEV_LOCK])
        run([*uv, "--no-deps", "--editable", ROOT])
    except subprocess.CalledProcessError as error:
        print(f"set-up failed at: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        print("  what it printed stands above; the same command again goes on from there", file=sys.stderr)
        return 2
    return 0


def make_venv(venv: Path) -> list[str | Path]:
    """Make the environment where there is none; return the command that installs into it."""
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        run([sys.executable, "-m", "venv", venv])
    if subprocess.run([python, "-c", "import uv"], stderr=subprocess.DEVNULL, check=False).returncode:
        run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"])
    return [python, "-m", "uv", "pip", "install", "--quiet", "--python", python]


def install_lock(uv: list[str | Path], torch: str) -> None:
    """Install what the lock pins, with torch in the build that was asked for.

    Raises: subprocess.CalledProcessError when a package cannot be had.
    """
    pins = read_pins(LOCK)
    cpu = wants_cpu(torch)
    installed = installed_torch(uv[0])
    if installed is None:
        print(
            f"downloading Graft's packages: {SIZE['cpu' if cpu else 'cuda']} (TORCH=cpu|cuda chooses)",
            flush=True,
        )
    if cpu and (installed is None or "+cpu" not in installed):
        cpu = install_cpu_torch(uv, pins)
    if not cpu:
        run([*uv, "--require-hashes", "-r", LOCK])
        return
    rest = [text for name, text in pins if name not in TORCH and not OF_CUDA.fullmatch(name)]
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / LOCK.name
        lock.write_text("\n".join(rest))
        run([*uv, "--require-hashes", "-r", lock])


def read_pins(lock: Path) -> list[tuple[str, str]]:
    """Return the packages of a lock, each with its lines: version, markers and hashes.

    A package whose version differs by platform is there more than once.
    """
    blocks = re.split(r"\n(?=[A-Za-z0-9])", lock.read_text().rstrip("\n"))
    return [(block.partition("==")[0], block) for block in blocks]


def wants_cpu(torch: str) -> bool:
    """Return whether the CPU build is to be tried. The registry's own builds differ on Linux alone."""
    if torch == "auto":
        return sys.platform == "linux" and shutil.which("nvidia-smi") is None
    return torch == "cpu"


def installed_torch(python: str | Path) -> str | None:
    """Return the version of torch in the environment, such as `2.15.0+cpu`; None without torch."""
    code = "from importlib.metadata import version; print(version('torch'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def install_cpu_torch(uv: list[str | Path], pins: list[tuple[str, str]]) -> bool:
    """Install the CPU builds of the pinned versions; return False where their index is not reached."""
    wheels = [text.split()[0] for name, text in pins if name in TORCH]
    index = os.environ.get("TORCH_INDEX")
    source = ["--default-index", index] if index else ["--torch-backend", "cpu"]
    patient = os.environ | {"UV_HTTP_RETRIES": "1"}
    command = [*uv, "--no-deps", *source, *wheels]
    done = subprocess.run(command, env=patient, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        print(f"PyTorch's index of CPU builds is not reached ({reason[0].strip()});", flush=True)
        print(f"  taking torch from the package registry instead: {SIZE['cuda']}", flush=True)
    return not done.returncode


def run(command: list[str | Path]) -> None:
    """Run a command and show what it prints. Raises: subprocess.CalledProcessError."""
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
