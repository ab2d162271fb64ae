"""Whether batches pay: `python -m bench.batches MODEL…`, milliseconds of processor time for one image.

Photos of 512 by 384 pixels, and the same made smaller to the side that `--side` gives: one at a time on as
many threads as there are cores, and in batches on as many threads of onnxruntime. All ways take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from bench.document import machine, write_or_print
from bench.textures import draw_texture
from pixels.cores import usable_cores
from serve.artifact import find_artifact
from serve.model import open_session, read_metadata, session_options

PAGE, MARK = Path("docs/serving.md"), "batches"
IMAGES, SIZES = 32, (1, 4, 8, 16)
HEAD = "| network | pixels | side by side | " + " | ".join(f"batch {size}" for size in SIZES[1:]) + " |"

Images = list[NDArray[np.uint8]]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help="model.onnx files, or folders of runs")
    parser.add_argument("--side", nargs="*", type=int, default=[], help="of each network's input")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    drawn = [Image.fromarray(draw_texture(number % 8, rng)) for number in range(IMAGES)]
    lines = [HEAD, "|---|---|--:" + "|--:" * len(SIZES[1:]) + "|"]
    for number, path in enumerate(given.models):
        sizes = [(512, 384)] + [(side, side) for side in given.side[number : number + 1]]
        name = read_metadata(path).spec
        for size in sizes:
            images = [np.asarray(one.resize(size)) for one in drawn]
            found = _measure(str(find_artifact(path)), images, given.rounds)
            alone = found[1]
            cells = [f"{alone * 1e3:.1f} ms", *(f"{found[batch] / alone:.2f}" for batch in SIZES[1:])]
            lines.append(f"| {name} | {size[0]} by {size[1]} | {' | '.join(cells)} |")
    text = "Seconds of the processor for one image: side by side, and in batches as a ratio to that.\n"
    write_or_print(PAGE, MARK, "\n".join([*lines, "", text + machine()]))


def _measure(path: str, images: Images, rounds: int) -> dict[int, float]:
    """Return processor time of one image by the size of the batch, as a median."""
    cores = usable_cores()
    alone = open_session(path, session_options(1))
    together = open_session(path, session_options(cores))
    ways: dict[int, Callable[[], None]] = {1: partial(_side_by_side, alone, images, cores)}
    ways |= {size: partial(_batches, together, images, size) for size in SIZES[1:]}
    seconds: dict[int, list[float]] = {size: [] for size in ways}
    for _ in range(rounds):
        for size, run in ways.items():
            start = time.process_time()
            run()
            seconds[size].append((time.process_time() - start) / len(images))
    return {size: median(each) for size, each in seconds.items()}


def _side_by_side(session: ort.InferenceSession, images: Images, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda image: session.run(None, {"image": image[None]}), images))


def _batches(session: ort.InferenceSession, images: Images, size: int) -> None:
    for start in range(0, len(images), size):
        session.run(None, {"image": np.stack(images[start : start + size])})


if __name__ == "__main__":
    main()
