"""`make bench-answers`: how far the answers of a model file can be trusted, on several data sets.

For each data set and seed, a network is trained, calibrated on the validation images, and asked about the
test images: log loss and calibration error before and after the temperature, and with vector scaling in its
place; how many of the sets of classes hold the right one; and how well `unknown` tells images of the other
data sets.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.special import softmax  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score

from bench.document import machine, write_or_print
from bench.vector_scaling import fit_vector
from finetune.calibration.calibrate import answer, calibrate
from finetune.calibration.temperature import log_losses
from finetune.data import ArrayImage, Split
from finetune.data.dataset import ImageDataset
from finetune.data.subset import spread_rows, subset
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.experiment.start import prepare_start
from finetune.fit.execute import execute_plan
from finetune.models.calibrated import CalibratedNet
from finetune.planning.choose import choose_plan
from finetune.probes.arithmetic import choose_arithmetic
from finetune.records.calibration import AnswerQuality, Calibration
from finetune.records.estimate import wilson_interval
from finetune.records.run_folder import RunFolder
from finetune.report.intervals import calibration_error
from finetune.report.tested import evaluate_network, measure_quality

PAGE = Path("docs/report.md")
QUIET = Console(quiet=True)
PRETRAINED = ("specs/resnet_small.yaml", "linear_probe")
SCRATCH = ("specs/lenet5.yaml", "scratch")
STRANGE = 150
"""Images of each other data set, and of noise."""


@dataclass(frozen=True)
class Found:
    """What one run showed; `vector` is log loss and calibration error with vector scaling, `auroc` is by the
    name of the strange images."""

    accuracy: float
    images: int
    calibration: Calibration
    quality: AnswerQuality
    vector: tuple[float, float]
    auroc: Mapping[str, float]


def measure(name: str, sets: Mapping[str, str | None], way: tuple[str, str], seed: int) -> Found:
    """Train on one data set and measure the answers."""
    spec, strategy = way
    given = {"finetune.strategy": strategy, "finetune.seed": seed, "finetune.trackers": []}
    recipe = read_recipe(spec, sets[name], given)
    setup = choose_arithmetic(prepare(recipe, load_data(recipe)))
    plan = choose_plan(setup, console=QUIET)
    setup = prepare_start(setup, plan)
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        raw = execute_plan(setup, plan, folder, QUIET)
        trained = calibrate(raw, setup, folder)
    net = trained.net
    assert isinstance(net, CalibratedNet)
    assert net.novelty is not None
    assert trained.calibration is not None
    tested, val = evaluate_network(net, setup), answer(net.net, net.novelty, setup, setup.val)
    quality = measure_quality(tested, trained.calibration)
    assert quality is not None
    assert tested.logits is not None
    assert tested.unknown is not None
    factors, constants = fit_vector(val.logits.astype(np.float64), val.targets)
    scaled = tested.logits * trained.calibration.temperature * factors + constants
    auroc = {}
    for other, images in strange_images(setup, name, sets, spec):
        scores = answer(net.net, net.novelty, setup, images).distances
        strange = np.repeat([0, 1], [len(tested.unknown), len(scores)])
        auroc[other] = float(roc_auc_score(strange, np.concatenate([tested.unknown, scores])))
    targets = np.asarray(setup.test.split.targets)
    accuracy = tested.evaluation.numbers["accuracy"]
    vector = measure_scores(scaled, targets)
    return Found(accuracy, len(targets), trained.calibration, quality, vector, auroc)


def measure_scores(logits: NDArray[np.floating], targets: NDArray[np.int64]) -> tuple[float, float]:
    """Return log loss and calibration error. In: (N, classes), (N,)."""
    shares = softmax(logits.astype(np.float64), axis=1)
    correct = (shares.argmax(1) == targets).astype(np.float64)
    return float(log_losses(logits, targets).mean()), calibration_error(shares.max(1), correct)


@cache
def load_test(spec: str, place: str | None) -> Split:
    """Return the test images of a data set."""
    return load_data(read_recipe(spec, place)).test


def strange_images(
    setup: Setup, name: str, sets: Mapping[str, str | None], spec: str
) -> Iterator[tuple[str, ImageDataset]]:
    """Yield images of every other data set, and of noise, at the size of the setup's network."""
    for other, place in sets.items():
        if other != name:
            images = load_test(spec, place)
            whole = replace(setup.test, split=images, pixels=None, augment=None)
            rows = np.sort(spread_rows(images.strata, STRANGE, seed=0))
            yield other, subset(whole, rows, seed=0)
    size = (STRANGE, setup.preprocess.height, setup.preprocess.width, 3)
    noise = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    labels = np.zeros(STRANGE, np.int64)
    drawn = Split(tuple(ArrayImage(f"noise {n}", one) for n, one in enumerate(noise)), labels, labels)
    yield "noise", replace(setup.test, split=drawn, pixels=None, augment=None)


def tabulate(runs: Mapping[str, Sequence[Found]], ways: Mapping[str, tuple[str, str]]) -> str:
    """Return the tables: means over the seeds; coverage over the test images of all seeds."""
    first = [
        "| images, network, strategy | seeds | accuracy | temperature | calibration error | log loss | with "
        "vector scaling: calibration error, log loss | sets hold the right class | classes in a set |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    second = [
        "| `unknown`, AUROC against images of | " + " | ".join(runs) + " |",
        "|---|" + "--:|" * len(runs),
    ]
    for name, found in runs.items():
        total = sum(one.images for one in found)
        held = sum(one.quality.coverage.value * one.images for one in found if one.quality.coverage)
        low, high = wilson_interval(held / total, total)
        ece, loss = (
            [getattr(one.quality, key) for one in found] for key in ("calibration_error", "log_loss")
        )
        spec = Path(ways[name][0]).stem
        first.append(
            f"| {name}, {spec}, {ways[name][1]} | {len(found)} | {mean(one.accuracy for one in found):.1%} "
            f"| {', '.join(f'{one.calibration.temperature:.2f}' for one in found)} "
            f"| {mean(x.before.value for x in ece):.3f} to {mean(x.after.value for x in ece):.3f} "
            f"| {mean(x.before.value for x in loss):.3f} to {mean(x.after.value for x in loss):.3f} "
            f"| {mean(one.vector[1] for one in found):.3f}, {mean(one.vector[0] for one in found):.3f} "
            f"| {held / total:.1%} ({100 * low:.1f} to {high:.1%}) "
            f"| {mean(one.quality.set_size or 0 for one in found):.2f} |"
        )
    for other in (*runs, "noise"):
        cells = []
        for found in runs.values():
            values = [one.auroc[other] for one in found if other in one.auroc]
            cells.append(f"{min(values):.3f}" if values else "—")
        second.append(f"| {other} | {' | '.join(cells)} |")
    return "\n".join([*first, "", *second])


def mean(values: Iterator[float]) -> float:
    """Return the mean of numbers."""
    return float(np.mean(list(values)))


def main() -> None:
    """Measure all data sets, and write the tables into docs/report.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", help="folders of images; the digits are always measured")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scratch", nargs="*", default=["sign_digits"], help="names trained from scratch")
    arguments = parser.parse_args()
    sets: dict[str, str | None] = {Path(folder).name: folder for folder in arguments.folders} | {
        "digits": None
    }
    ways = {name: SCRATCH if name in {"digits", *arguments.scratch} else PRETRAINED for name in sets}
    runs: dict[str, list[Found]] = defaultdict(list)
    for name in sets:
        for seed in range(arguments.seeds):
            runs[name].append(measure(name, sets, ways[name], seed))
            print(name, seed, runs[name][-1], flush=True)
    note = f"Means over the seeds, but the lowest AUROC of them. {machine()}"
    write_or_print(PAGE, "answers", f"{tabulate(runs, ways)}\n\n{note}")


if __name__ == "__main__":
    main()
