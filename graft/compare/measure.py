"""Measuring several networks on the same images. What was measured before is read again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from pydantic import TypeAdapter
from rich.console import Console

import finetune
import zoo
from finetune.api import name_data
from finetune.config import DataSettings, FinetuneSettings, get_section
from finetune.data import Splits
from finetune.experiment.recipe import load_data, read_recipe
from finetune.networks.candidates import find_candidates
from finetune.networks.forecast import forecast_full
from finetune.networks.measure import measure_network
from finetune.records.disk import require_writable
from finetune.records.evidence import Forecast
from finetune.records.files import read_record, write_json, write_record, write_text
from finetune.records.network import NetworkScore
from finetune.records.run_folder import RUNS, RunFolder, safe_name
from finetune.runtime.console import QUIET, report_progress, show_progress
from pixels.processes import release_memory
from serve.model import Model

BASE = "auto"
"""The spec whose settings every network is compared with."""
SMALL_PARAMS = 12_000_000
"""Specs with more parameters are compared only if their weights are here, or they are named."""
TIMED_IMAGES, WARM_UP = 20, 3
MB = 1e6


@dataclass(frozen=True)
class Compared:
    """One network on the user's images.

    `score` is how well a linear classifier on it does. `training` is the forecast of training all of it,
    `file_mb` and `file_ms` are the size of the exported model and the median time of one image in it, and
    `run` is the folder with that model; they are None where the network was left out.
    """

    score: NetworkScore
    training: Forecast | None = None
    file_mb: float | None = None
    file_ms: float | None = None
    run: str | None = None


COMPARED = TypeAdapter(Compared)


def compare_networks(
    names: Sequence[str | Path],
    data: str | None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    *,
    root: Path = RUNS,
    console: Console = QUIET,
) -> tuple[Path, list[Compared]]:
    """Measure the named specs, or by default those whose weights are here or quickly downloaded.

    Every network gets a run with a linear classifier, in the returned folder.
    Out: the folder; the networks, that with the fewest multiply-adds first.
    Raises: GraftError for every mistake in the specs, the data or the settings.
    """
    base = read_recipe(BASE, data, set)
    names = names or zoo.specs_with_weights(base.task, or_params=SMALL_PARAMS)
    recipes = find_candidates(base, names)
    splits = load_data(base)
    folder = (
        root / "compare" / f"{safe_name(name_data(get_section(base, DataSettings)))}-{_hash(base, splits)}"
    )
    require_writable(folder)
    with show_progress(console):
        return folder, list(_measure_all(recipes, splits, folder))


def _measure_all(recipes: Sequence[zoo.Spec], splits: Splits, folder: Path) -> Iterator[Compared]:
    """Measure each network, or read what was measured; after one failed download, no other is tried."""
    offline = ""
    for recipe in recipes:
        path = folder / f"{recipe.name}.json"
        if path.exists():
            yield read_record(path, COMPARED)
            continue
        if offline and not zoo.available_weights(recipe):
            yield Compared(NetworkScore(recipe.name, "none", "", 0, left_out=offline))
            continue
        compared = _measure(recipe, splits, folder)
        if compared.run is None:
            offline = "weights that are not on this machine, and could not be downloaded"
            compared = replace(compared, score=replace(compared.score, left_out=offline))
        else:
            write_record(path, COMPARED, compared)
        release_memory()  # of this network, before the next one
        yield compared


def _measure(recipe: zoo.Spec, splits: Splits, folder: Path) -> Compared:
    settings = get_section(recipe, FinetuneSettings)
    score = measure_network(recipe, splits, most_images=settings.evidence_images)
    if score.accuracy is None:
        return Compared(score)
    training = forecast_full(recipe, splits)
    report_progress(f"comparing networks: the model file of {recipe.name}")
    run = _run_probe(recipe, splits, folder)
    return Compared(
        score,
        training,
        round(run.onnx.stat().st_size / MB, 1),
        round(1000 * _time_file(run.onnx, splits), 2),
        str(run.folder),
    )


def _run_probe(recipe: zoo.Spec, splits: Splits, folder: Path) -> finetune.RunReport:
    """Train a linear classifier on the network, in a run's folder of its own, and export it."""
    probe, spec = zoo.override(recipe, {"finetune.strategy": "linear_probe"}), folder / f"{recipe.name}.yaml"
    write_text(spec, probe.to_yaml())
    run = RunFolder(folder / recipe.name)
    if not run.splits.exists():
        write_json(run.splits, splits.to_record())  # the images are not read again
    return finetune.run(spec, run=run.path, console=QUIET)


def _time_file(onnx: Path, splits: Splits) -> float:
    """Return the median seconds of one decoded image in the exported model."""
    model, images = Model(onnx), (splits.val.images or splits.train.images)[: TIMED_IMAGES + WARM_UP]
    seconds = []
    for image in images:
        pixels = image.read()[None]
        start = time.perf_counter()
        model(pixels)
        seconds.append(time.perf_counter() - start)
    return median(seconds[WARM_UP:] or seconds)


def _hash(base: zoo.Spec, splits: Splits) -> str:
    """Return a short hash of settings and images: other images are compared in another folder."""
    digests = [image.digest() for split in (splits.train, splits.val, splits.test) for image in split.images]
    return hashlib.sha256("\n".join([base.to_yaml(), *digests]).encode()).hexdigest()[:8]
