"""Speed of `graft predict` on a folder: `python -m bench.folder MODEL [--images 2000] [--rounds 3]`.

The bare loop decodes with Pillow and runs the same file in onnxruntime, one image after the other. Both are
measured in turns on drawn photographs of 512 x 384 pixels, each in a process of its own. Printed: images per
second, their ratio, and the largest memory of `predict` for an eighth of the images and for all of them.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (384, 512)
KINDS = 50
"""Photographs that are drawn; the others are copies."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.folder", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", choices=("bare", "predict"))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.once:
        print(*measure(given.once, given.model, given.folder))
        return
    with tempfile.TemporaryDirectory() as root:
        whole, part = Path(root, "whole"), Path(root, "part")
        draw(whole, given.images)
        draw(part, given.images // 8)
        _, small = run("predict", given.model, part)
        ratios = []
        for number in range(given.rounds):
            (bare, _), (predict, large) = (run(kind, given.model, whole) for kind in ("bare", "predict"))
            ratios.append(predict / bare)
            print(f"round {number + 1}: bare {bare:.1f}, predict {predict:.1f} images/s, {ratios[-1]:.2f}")
        print(f"median ratio {statistics.median(ratios):.2f}")
        print(f"memory: {small:.0f} MB for {given.images // 8:,} images, {large:.0f} MB for {given.images:,}")


def draw(folder: Path, images: int) -> None:
    """Write photographs as JPEG files."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(min(KINDS, images)):
        pixels = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize(SIZE[::-1], Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:05}.jpg", quality=90)
    for number in range(KINDS, images):
        (folder / f"{number:05}.jpg").write_bytes((folder / f"{number % KINDS:05}.jpg").read_bytes())


def run(kind: str, model: Path, folder: Path) -> tuple[float, float]:
    """Measure in another process. Out: images per second, and its largest memory in MB."""
    command = [sys.executable, "-m", "bench.folder", str(model), "--once", kind, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    speed, memory = map(float, done.stdout.split()[-2:])
    return speed, memory


def measure(kind: str, model: Path, folder: Path) -> tuple[float, float]:
    """Answer for every image of the folder. Out: as `run`."""
    files = sorted(folder.iterdir())
    if kind == "bare":
        import onnxruntime

        found = model / "model.onnx" if model.is_dir() else model
        session = onnxruntime.InferenceSession(str(found), providers=["CPUExecutionProvider"])
        start = time.perf_counter()
        for file in files:
            with Image.open(file) as image:
                session.run(None, {"image": np.asarray(image.convert("RGB"))[None]})
    else:
        from serve.bulk.images import find_images
        from serve.bulk.predict import Choice, write_answers
        from serve.predictor import Predictor

        predictor = Predictor(model)
        start = time.perf_counter()
        for _ in write_answers(predictor, find_images([folder]), folder.with_suffix(".csv"), Choice()):
            pass
    seconds = time.perf_counter() - start
    return len(files) / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
