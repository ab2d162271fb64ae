"""Other apps: the documented lines, run where nothing of Graft is installed, give the Predictor's answers."""

from __future__ import annotations

import json
import re
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
MARKER = "<!-- load-python -->"
NEEDED = ("onnxruntime", "numpy", "pillow")


def documented_lines() -> str:
    """The Python that the README and the contract's page tell other apps to use."""
    found = []
    for page in (ROOT / "README.md", ROOT / "docs" / "artifact.md"):
        block = re.search(MARKER + r"\s*```python\n(.*?)```", page.read_text(), re.DOTALL)
        assert block, f"{page.name} has no Python block after {MARKER}"
        found.append(block[1])
    assert found[0] == found[1], "the README and the contract's page differ"
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
        assert done.stderr == ""
        printed = [line.split("\t") for line in done.stdout.splitlines()]
        expected = predictor(picture)[:5]
        assert [label for label, _ in printed] == [label for label, _ in expected]
        values = [float(value) for _, value in printed]
        # printed with four digits
        assert values == pytest.approx([value for _, value in expected], abs=6e-5)


def test_webassembly_gives_pythons_answers(
    tmp_path: Path, node: str, digits_model: DigitsModel, digits: tuple[NDArray[np.uint8], object]
) -> None:
    script = [node, "predict.mjs", str(digits_model.path)]
    images = digits[0][:2].repeat(3, axis=1).repeat(2, axis=2)
    pixels = tmp_path / "pixels.raw"
    images.tofile(pixels)
    dims = json.dumps(images.shape)
    done = subprocess.run(
        [*script, str(pixels), dims], cwd=ONNX_WEB, capture_output=True, text=True, timeout=60, check=True
    )
    answer = json.loads(done.stdout)
    assert answer["dims"] == [len(images), 10]
    found = np.array(answer["data"], np.float32).reshape(len(images), 10)
    expected = Predictor(digits_model.path).model(images).answers
    # another build of the same kernels sums float32 in another order
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found.argmax(1) == expected.argmax(1)).all()
