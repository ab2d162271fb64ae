"""Other apps: the documented lines, run where nothing of Graft is installed, give the Predictor's answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from digits_kit import ONNX_WEB, DigitsModel
from numpy.typing import NDArray
from PIL import Image

from serve import Predictor

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
MARKER = "<!-- load-python -->"
NEEDED = ("onnxruntime", "numpy", "pillow")


def documented_lines() -> str:
    """The Python that the README, the contract's page and the examples tell other apps to use."""
    found = []
    for page in (ROOT / "README.md", ROOT / "docs" / "artifact.md"):
        block = re.search(MARKER + r"\s*```python\n(.*?)```", page.read_text(), re.DOTALL)
        assert block, f"{page.name} has no Python block after {MARKER}"
        found.append(block[1])
    found.append((EXAMPLES / "python" / "predict.py").read_text().partition("\n\n")[2])
    assert len(set(found)) == 1, "the README, the contract's page and the example differ"
    return found[0]


def distributions(names: tuple[str, ...]) -> set[str]:
    """The distributions that these need, they included, in the environment that runs the tests."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower()
        if name not in found:
            found.add(name)
            needs = [need for need in metadata.requires(name) or [] if "extra ==" not in need]
            waiting += [re.split(r"[^A-Za-z0-9._-]", need, maxsplit=1)[0] for need in needs]
    return found


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with onnxruntime, numpy and pillow alone: their installed files, linked."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", scheme="venv", vars={"base": str(folder)}))
    for name in distributions(NEEDED):
        for file in metadata.distribution(name).files or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (packages / top).exists():
                (packages / top).symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def run_bare(python: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-I", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=python.parent)


def make_pictures(folder: Path, digit: NDArray[np.uint8]) -> list[Path]:
    """The digit as files of several kinds: turned by EXIF, transparent, grey, palette, CMYK."""
    image = Image.fromarray(digit).resize((60, 44), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L").point(lambda value: 255 - value))
    paths = [
        folder / name for name in ("plain.png", "turned.jpg", "clear.png", "grey.jpg", "few.gif", "print.jpg")
    ]
    image.save(paths[0])
    image.transpose(Image.Transpose.ROTATE_90).save(paths[1], exif=exif)
    clear.save(paths[2])
    image.convert("L").save(paths[3])
    image.quantize(8).save(paths[4])
    image.convert("CMYK").save(paths[5])
    return paths


def test_the_bare_environment_is_bare(bare_python: Path) -> None:
    assert run_bare(bare_python, "-c", "import onnxruntime, numpy, PIL").stderr == ""
    for name in ("torch", "onnx", "serve", "pixels"):
        assert "ModuleNotFoundError" in run_bare(bare_python, "-c", f"import {name}").stderr


def test_documented_python_gives_the_predictors_answers(
    tmp_path: Path, bare_python: Path, digits_model: DigitsModel, digits: tuple[NDArray[np.uint8], object]
) -> None:
    lines = documented_lines()
    assert len([line for line in lines.splitlines() if line.strip()]) <= 10
    program = tmp_path / "load.py"
    program.write_text(lines)
    predictor = Predictor(digits_model.path)
    for picture in make_pictures(tmp_path, digits[0][0]):
        done = run_bare(bare_python, program, digits_model.path, picture)
        check_answer(done, predictor, picture)


def check_answer(done: subprocess.CompletedProcess[str], predictor: Predictor, picture: Path) -> None:
    """The program printed the Predictor's five best classes, and nothing else."""
    assert (done.returncode, done.stderr) == (0, "")
    printed = [line.split("\t") for line in done.stdout.splitlines()]
    expected = predictor(picture)[:5]
    assert [label for label, _ in printed] == [label for label, _ in expected]
    values = [float(value) for _, value in printed]
    # printed with four digits
    assert values == pytest.approx([value for _, value in expected], abs=6e-5)


def test_node_gives_the_predictors_answers(
    tmp_path: Path, node: str, digits_model: DigitsModel, digits: tuple[NDArray[np.uint8], object]
) -> None:
    predictor, about = Predictor(digits_model.path), tmp_path / "model.json"
    about.write_text(json.dumps({"labels": predictor.labels}))
    image = Image.fromarray(digits[0][0]).resize((60, 44), Image.Resampling.BICUBIC)
    clear, exif = image.convert("RGBA"), Image.Exif()  # transparent or not: libraries round what is between
    clear.putalpha(image.convert("L").point(lambda value: 255 * (value < 128)))
    exif[0x0112] = 6
    picture = tmp_path / "turned.png"
    clear.transpose(Image.Transpose.ROTATE_90).save(picture, exif=exif)
    command = [node, "predict.mjs", digits_model.path, about, picture]
    done = subprocess.run(command, cwd=ONNX_WEB, capture_output=True, text=True, timeout=100, check=False)
    check_answer(done, predictor, picture)


def test_cpp_gives_the_predictors_answers(
    tmp_path: Path, digits_model: DigitsModel, digits: tuple[NDArray[np.uint8], object]
) -> None:
    release = Path(os.environ.get("GRAFT_ONNXRUNTIME", ""))
    compiler = shutil.which("g++")
    if compiler is None or not (release / "include" / "onnxruntime_cxx_api.h").exists():
        pytest.skip("no g++, or GRAFT_ONNXRUNTIME does not name a release of onnxruntime for C++")
    program, libraries = tmp_path / "predict", release / "lib"
    folders = ["-I", release / "include", "-L", libraries, f"-Wl,-rpath,{libraries}"]
    source = EXAMPLES / "cpp" / "predict.cpp"
    subprocess.run([compiler, "-std=c++20", source, "-o", program, *folders, "-lonnxruntime"], check=True)
    picture = make_pictures(tmp_path, digits[0][0])[0]
    done = subprocess.run([program, digits_model.path, picture], capture_output=True, text=True, check=False)
    check_answer(done, Predictor(digits_model.path), picture)
