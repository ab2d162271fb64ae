"""Publishing a run's weights as a file of the zoo, with a card that describes them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from torch import nn
from torch.optim.swa_utils import update_bn

import zoo
from finetune.api import run
from finetune.config import AugmentSettings, CardSettings, get_section
from finetune.data.dataset import loader
from finetune.data.subset import subset
from finetune.experiment.setup import Setup
from finetune.features.extract import extract_features
from finetune.finished import load_trained
from finetune.probes.folds import stratified_sample
from finetune.records.disk import require_writable
from finetune.records.files import write_weights
from finetune.records.plan import Plan, read_plan
from finetune.records.run_folder import RUNS, RunFolder
from finetune.records.training import EnsembleTraining, StageProbeTraining
from finetune.records.verify import open_run
from finetune.runtime.console import Terminal
from finetune.tasks.evaluate import artifact_logits
from zoo.errors import GraftError
from zoo.pretrained.card import Card, Score, StageStatistics, write_card
from zoo.pretrained.sources.base import sha256_of

MAX_ACCURACY_LOSS = 0.001
"""Half precision is used if it lowers top-1 accuracy by no more than this."""
SAMPLE = 5000
"""The number of training images that the statistics of the stages are computed from."""
DIGITS = 4
RESTATED, BATCH = 20_000, 250
"""Training images for the statistics of batch norms, and how many pass the network at a time."""


def pretrain(
    spec: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    folder: str | Path | None = None,
    out: Path = Path("zoo/weights"),
    *,
    root: Path = RUNS,
    console: Console | None = None,
) -> Path:
    """Train the spec, and publish its weights in `out`. Out: their file.

    Raises: GraftError for every mistake in the spec, the data or the arguments.
    """
    console = console or Terminal()
    require_writable(out)
    if zoo.read_spec(spec).is_chosen:
        raise GraftError(f"{spec}: chooses a network; expected the spec of the network that is to be trained")
    report = run(spec, data=data, set=set, run=folder, root=root, console=console)
    return publish(report.folder, out, f"graft pretrain {Path(spec).as_posix()} --data FOLDER", console)


def publish(folder: Path, out: Path, command: str, console: Console) -> Path:
    """Write the weights of a run to `out/NAME.safetensors`, and their card; `command` repeats the run.

    Raises: GraftError for a run whose network is not the one that its spec declares, or no classifier.
    """
    setup, trained = load_trained(open_run(folder))
    changed = isinstance(trained.training, StageProbeTraining | EnsembleTraining)
    if changed or not setup.task.probes:
        raise GraftError(f"{folder}: expected a classifier whose network is the one that its spec declares")
    net = restate_norms(trained.net, setup)
    rounded = copy.deepcopy(net).half()
    exact_score, half_score = measure(net, setup), measure(copy.deepcopy(rounded).float(), setup)
    half = exact_score.top1 - half_score.top1 <= MAX_ACCURACY_LOSS
    console.print(
        f"top-1 {100 * exact_score.top1:.2f}% in float32, {100 * half_score.top1:.2f}% in half precision"
    )
    out.mkdir(parents=True, exist_ok=True)
    path, described = out / f"{setup.spec.name}.safetensors", get_section(setup.spec, CardSettings)
    write_weights(path, rounded if half else net)
    card = Card(
        name=setup.spec.name,
        spec=setup.spec.name,
        sha256=sha256_of(path),
        params=sum(parameter.numel() for parameter in trained.net.parameters()),
        dtype="float16" if half else "float32",
        classes=len(setup.classes),
        input=zoo.TrainedInput(**setup.spec.input.model_dump(include=set(zoo.TrainedInput.model_fields))),
        data=described.data,
        licence=described.licence,
        recipe=describe_recipe(setup, read_plan(RunFolder(folder).plan)),
        command=command,
        seed=setup.settings.seed,
        score=half_score if half else exact_score,
        choices={slot: setup.spec.choices.of(slot).op for slot in ("norm", "act")},
        stages=stage_statistics(setup, net),
        labels=list(setup.classes),
        notes=described.notes,
    )
    console.print(f"wrote {path}, {path.stat().st_size / 2**20:.1f} MiB, and {write_card(card, path).name}")
    return path


def restate_norms(net: nn.Module, setup: Setup) -> nn.Module:
    """Return the network with batch norms' statistics of images as they will be shown, if that is better.

    Those of training belong to augmented images, and lag behind where weights are averaged or images grow.
    What is better is decided by top-1 accuracy on the validation images.
    """
    restated = copy.deepcopy(net)
    rows = stratified_sample(setup.splits.train.targets, RESTATED, seed=setup.settings.seed)
    images = subset(replace(setup.train, augment=None), rows, seed=setup.settings.seed)
    device = next(restated.parameters()).device
    preprocess = setup.preprocess.to(device)
    with torch.no_grad():
        update_bn((preprocess.normalise(batch.to(device)) for batch, _ in loader(images, BATCH)), restated)
    before, after = (_score(each, setup, "val").top1 for each in (net, restated))
    return restated if after > before else net


def measure(net: nn.Module, setup: Setup) -> Score:
    """Return top-1 and top-5 accuracy on the test split, or without one on the validation split."""
    return _score(net, setup, "test" if len(setup.test) else "val")


def _score(net: nn.Module, setup: Setup, split: Literal["val", "test"]) -> Score:
    images, top1, top5 = (setup.val if split == "val" else setup.test), 0, 0
    for logits, targets in artifact_logits(net, setup.preprocess, images):
        best = logits.topk(min(5, logits.shape[1])).indices
        top1 += int((best[:, 0] == targets).sum())
        top5 += int((best == targets[:, None]).sum())
    return Score(split=split, images=len(images), top1=top1 / len(images), top5=top5 / len(images))


def stage_statistics(setup: Setup, net: nn.Module) -> dict[str, StageStatistics]:
    """Return mean and deviation of each channel of each stage over a sample of the training images."""
    rows = stratified_sample(setup.splits.train.targets, SAMPLE, seed=setup.settings.seed)
    images = subset(replace(setup.train, augment=None), rows, seed=setup.settings.seed)
    features = extract_features(
        net, images, setup.preprocess, head=setup.anatomy.head, stages=setup.anatomy.stages
    )
    return {
        name: StageStatistics(mean=_rounded(values.mean(0).tolist()), std=_rounded(values.std(0).tolist()))
        for name, values in features.stages.items()
    }


def describe_recipe(setup: Setup, plan: Plan) -> str:
    """Describe in one line how the network was trained."""
    settings = setup.settings
    steps = ", ".join(call.op for call in get_section(setup.spec, AugmentSettings).calls or ())
    start = "" if setup.origin is None else " from pretrained weights"
    parts = [
        f"{plan.strategy}{start}, {plan.epochs} epochs, batch size {plan.batch_size}, {plan.precision.dtype}",
        f"{settings.optimizer.op} at {plan.learning_rate:g}, {settings.schedule.op}",
        f"weight decay {settings.weight_decay:g}",
        f"loss {settings.loss.op}" if settings.loss.op != "auto" else "",
        f"label smoothing {settings.label_smoothing:g}" if settings.label_smoothing else "",
        f"moving average of weights, decay {settings.ema.decay:g}" if settings.ema else "",
        f"image size growing from {settings.progressive_resizing.initial_scale:g}"
        if settings.progressive_resizing
        else "",
        f"distilled from {Path(settings.distill.run).name}" if settings.distill else "",
        steps,
    ]
    return ", ".join(part for part in parts if part)


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
