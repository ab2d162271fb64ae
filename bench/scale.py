"""What evidence costs by images and classes: `python -m bench.scale`, into docs/speed.md.

Each size runs in a process of its own: the linear classifiers on every choice of stages, on as many images as
a plan takes, and the one that is kept, on all. Features are drawn, as wide as those of EfficientNet-Lite0.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.document import machine, write_or_print
from finetune.config import FinetuneSettings
from finetune.features.extract import Features
from finetune.probes.folds import stratified_sample
from finetune.probes.probe import fit_probe
from finetune.probes.stage_select import best_taps, measure_stages, tap_blocks
from finetune.runtime.precision import EXACT

IMAGES, CLASSES = (100, 500, 2000, 5000, 20000), (2, 20, 200, 2000)
WIDTHS = {"features.2": 24, "features.3": 40, "features.5": 112, "features.7": 320}
HEAD_WIDTH = 1280
APART = 6.0
"""How far the centres of classes lie apart, in standard deviations of an image from its centre."""
PAGE = Path("docs/speed.md")


@dataclass(frozen=True)
class Cost:
    """What one size took: CPU seconds, the peak of memory beyond that of the features, and the accuracy."""

    cpu_s: float
    memory_mib: float
    accuracy: float


def draw_features(images: int, classes: int) -> tuple[Features, np.ndarray]:
    """Draw features whose classes overlap more in lower stages. Out: they, and targets (N,)."""
    rng = np.random.default_rng(0)
    targets = (np.arange(images) % classes).astype(np.int64)

    def draw(width: int, apart: float) -> np.ndarray:
        centres = rng.standard_normal((classes, width), dtype=np.float32)
        centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
        return centres[targets] + rng.standard_normal((images, width), dtype=np.float32)

    stages = {name: draw(width, APART * width / HEAD_WIDTH) for name, width in WIDTHS.items()}
    return Features(stages, draw(HEAD_WIDTH, APART), {}, EXACT, computed=images, seconds=0.0), targets


def measure(images: int, classes: int) -> Cost:
    """Choose the stages and fit the classifier, as `linear_probe` and `stage_probe` do."""
    features, targets = draw_features(images, classes)
    before = resource.getrusage(resource.RUSAGE_SELF)
    rows = stratified_sample(targets, FinetuneSettings().evidence_images)
    measured = measure_stages(features.take(rows), targets[rows], classes=classes)
    best = best_taps(measured)
    if len(rows) == images:
        probe = measured[best].fit()
    else:
        blocks = tap_blocks(features)
        probe = fit_probe([blocks[name] for name in best], targets, classes=classes)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu_s, (after.ru_maxrss - before.ru_maxrss) / 1024, probe.chosen.accuracy.value)


def report(costs: dict[tuple[int, int], Cost], classes: Sequence[int]) -> str:
    """One table: a row for each number of images, a column for each number of classes."""
    head = "| images | " + " | ".join(f"{count} classes" for count in classes) + " |"
    rows = [head, "|---:|" + "---:|" * len(classes)]
    for images in sorted({images for images, _ in costs}):
        cells = [costs.get((images, count)) for count in classes]
        text = ("—" if cell is None else f"{cell.cpu_s:.1f} s, {cell.memory_mib:.0f} MiB" for cell in cells)
        rows.append(f"| {images:,} | " + " | ".join(text) + " |")
    return f"{machine()}\n\n" + "\n".join(rows)


def main() -> None:
    """Measure every size that has two images per class, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="*", default=IMAGES)
    parser.add_argument("--classes", type=int, nargs="*", default=CLASSES)
    parser.add_argument("--page", type=Path, default=PAGE, help="where the table is written")
    given = parser.parse_args()
    costs: dict[tuple[int, int], Cost] = {}
    for images in given.images:
        for classes in (count for count in given.classes if images >= 2 * count):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                costs[images, classes] = pool.apply(measure, (images, classes))
            print(images, classes, costs[images, classes], flush=True)
    write_or_print(given.page, "scale", report(costs, given.classes))


if __name__ == "__main__":
    main()
