"""Setting up: which build of torch is taken, from an index on this machine in the form of PyTorch's own."""

from __future__ import annotations

import http.server
import importlib.util
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", ROOT / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, install: ModuleType) -> Iterator[str]:
    """An index of tiny wheels that are called as PyTorch's CPU builds are."""
    folder = tmp_path_factory.mktemp("index")
    for name in install.TORCH:
        version = f"{pinned(install, name)}+cpu"
        wheel = folder / name / f"{name}-{version}-py3-none-any.whl"
        wheel.parent.mkdir()
        write_wheel(wheel, name, version)
        link = wheel.name.replace("+", "%2B")
        (wheel.parent / "index.html").write_text(f'<!DOCTYPE html><a href="{link}">{wheel.name}</a>')
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.func.log_message = lambda *_: None  # type: ignore[method-assign]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def pinned(install: ModuleType, name: str) -> str:
    """The version of a package in the lock."""
    pins = install.read_pins(install.LOCK)
    return next(text.split("==")[1].split()[0] for found, text in pins if found == name)


def write_wheel(path: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def uv(tmp_path: Path) -> list[str | Path]:
    """What installs into an empty environment, without the address of any registry."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    return [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-cache", "--python", python]


def test_the_cpu_build_comes_from_the_index(
    install: ModuleType, index: str, uv: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_INDEX", index)
    assert install.install_cpu_torch(uv, install.read_pins(install.LOCK))
    assert install.installed_torch(uv[-1]) == f"{pinned(install, 'torch')}+cpu"


def test_an_index_that_is_not_reached_is_said(
    install: ModuleType,
    uv: list[str | Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TORCH_INDEX", "http://127.0.0.1:9")
    assert not install.install_cpu_torch(uv, install.read_pins(install.LOCK))
    said = capsys.readouterr().out
    assert "not reached" in said
    assert install.SIZE["cuda"] in said


@pytest.mark.parametrize(
    ("torch", "platform", "gpu"),
    [("auto", "linux", "/usr/bin/nvidia-smi"), ("auto", "darwin", None), ("cuda", "linux", None)],
)
def test_the_build_of_the_registry_is_taken(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, torch: str, platform: str, gpu: str | None
) -> None:
    monkeypatch.setattr(install.sys, "platform", platform)
    monkeypatch.setattr(install.shutil, "which", lambda _: gpu)
    assert not install.wants_cpu(torch)
    assert install.wants_cpu("cpu")


def test_auto_takes_the_cpu_build_without_a_gpu(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install.sys, "platform", "linux")
    monkeypatch.setattr(install.shutil, "which", lambda _: None)
    assert install.wants_cpu("auto")


def test_the_lock_without_torch_keeps_hashes_and_markers(install: ModuleType) -> None:
    pins = install.read_pins(install.LOCK)
    names = {name for name, _ in pins}
    assert {"torch", "torchvision", "numpy", "onnxruntime"} <= names
    assert all("--hash=sha256:" in text for _, text in pins)
    assert "".join(f"{text}\n" for _, text in pins) == install.LOCK.read_text()
    assert "pytest" not in names


def test_an_old_python_is_told_before_anything_is_made(tmp_path: Path) -> None:
    code = "import sys, runpy; sys.version_info = (3, 9, 1); runpy.run_path(sys.argv[1], run_name='__main__')"
    command = [sys.executable, "-c", code, str(ROOT / "install.py"), str(tmp_path / "venv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "3.11 or newer; found 3.9.1" in done.stderr
    assert not (tmp_path / "venv").exists()
