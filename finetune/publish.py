"""A finished run's weights as a file of the zoo, with the card that says what they are and how good."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn

import zoo
from finetune.api import RUNS, reopen, run
from finetune.config import AugmentSettings, CardSettings
from finetune.data.subset import subset
from finetune.experiment.setup import Setup, get_section
from finetune.features.extract import extract_features
from finetune.probes.folds import stratified_sample
from finetune.records.plan import Plan, read_plan
from finetune.records.run_folder import RunFolder
from finetune.runtime.console import make_console
from finetune.tasks.evaluate import logits_of
from zoo.errors import GraftError
from zoo.pretrained.card import Card, Score, StageStatistics, write_card
from zoo.pretrained.sources.base import sha256_of

HALF_COSTS_AT_MOST = 0.001
"""Half precision is shipped where top-1 accuracy falls by no more than this share."""
SAMPLE = 5000
"""Training images that the stages' statistics are taken over."""
DIGITS = 4


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
    """An ordinary run of the spec, and its weights shipped to `out`.

    Raises: GraftError for everything a user can mend.
    """
    console = console or make_console()
    report = run(spec, data=data, set=set, run=folder, root=root, console=console)
    return ship(report.folder, out, f"make pretrain SPEC={Path(spec).as_posix()} DATA=folder", console)


def ship(folder: Path, out: Path, command: str, console: Console) -> Path:
    """Write `out/NAME.safetensors` and its card for a run's folder; `command` gives the weights again.

    Raises: GraftError for a run whose network is not the spec's own, or that was not validated.
    """
    place = RunFolder(folder)
    setup, trained = reopen(place)
    if {"taps", "ensemble"} & trained.training.keys() or setup.task.name != "classification":
        raise GraftError(f"{folder}: expected a classifier that is trained as its spec declares it")
    exact = measure(trained.net, setup)
    halved = copy.deepcopy(trained.net)
    halved.load_state_dict(half(trained.net.state_dict()))
    rounded = measure(halved, setup)
    smaller = exact.top1 - rounded.top1 <= HALF_COSTS_AT_MOST
    console.print(f"top-1 {100 * exact.top1:.2f}% in float32, {100 * rounded.top1:.2f}% in half precision")
    path = out / f"{setup.spec.name}.safetensors"
    state = trained.net.state_dict()
    write_state(path, half(state) if smaller else state)
    card = Card(
        name=setup.spec.name,
        spec=setup.spec.name,
        sha256=sha256_of(path),
        params=sum(parameter.numel() for parameter in trained.net.parameters()),
        dtype="float16" if smaller else "float32",
        classes=len(setup.classes),
        input=trained_input(setup.spec.input),
        data=get_section(setup.spec, CardSettings).data,
        licence=get_section(setup.spec, CardSettings).licence,
        recipe=recipe_in_words(setup, read_plan(place.plan)),
        command=command,
        seed=setup.settings.seed,
        score=rounded if smaller else exact,
        choices={slot: setup.spec.choices.of(slot).op for slot in ("norm", "act")},
        stages=stage_statistics(setup, trained.net),
        labels=list(setup.classes),
        notes=get_section(setup.spec, CardSettings).notes,
    )
    console.print(f"wrote {path}, {path.stat().st_size / 2**20:.1f} MiB, and {write_card(card, path).name}")
    return path


def measure(net: nn.Module, setup: Setup) -> Score:
    """Top-1 and top-5 accuracy on the test split, without one on the validation split."""
    split, images = ("test", setup.test) if len(setup.test) else ("val", setup.val)
    first, among_five = 0, 0
    for logits, targets in logits_of(net, setup.preprocess, images):
        best = logits.topk(min(5, logits.shape[1])).indices
        first += int((best[:, 0] == targets).sum())
        among_five += int((best == targets[:, None]).sum())
    return Score(split=split, images=len(images), top1=first / len(images), top5=among_five / len(images))


def stage_statistics(setup: Setup, net: nn.Module) -> dict[str, StageStatistics]:
    """Mean and deviation of every channel of every stage over a sample of the training images."""
    rows = stratified_sample(setup.splits.train.targets, SAMPLE, seed=setup.settings.seed)
    images = subset(replace(setup.train, augment=None), rows, seed=setup.settings.seed)
    features = extract_features(
        net, images, setup.preprocess, head=setup.anatomy.head, stages=setup.anatomy.stages
    )
    return {
        name: StageStatistics(mean=_rounded(values.mean(0).tolist()), std=_rounded(values.std(0).tolist()))
        for name, values in features.stages.items()
    }


def half(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Floating point tensors in half precision, the others as they are."""
    return {
        name: tensor.half() if tensor.is_floating_point() else tensor.clone()
        for name, tensor in state.items()
    }


def write_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write weights, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    save_file({name: tensor.contiguous().cpu() for name, tensor in state.items()}, part)
    part.replace(path)


def trained_input(shape: zoo.Input) -> zoo.TrainedInput:
    """The preprocessing of a resolved spec as a card states it."""
    return zoo.TrainedInput(
        height=shape.height, width=shape.width, resize=shape.resize, mean=shape.mean, std=shape.std
    )


def recipe_in_words(setup: Setup, plan: Plan) -> str:
    """How the network was trained, in one line."""
    settings = setup.settings
    steps = ", ".join(call.op for call in get_section(setup.spec, AugmentSettings).calls or ())
    words = [
        f"{plan.strategy}, {plan.epochs} epochs in batches of {plan.batch_size}, {plan.precision.dtype}",
        f"{settings.optimizer.op} at {plan.learning_rate:g}, {settings.schedule.op}",
        f"weight decay {settings.weight_decay:g}",
        f"label smoothing {settings.label_smoothing:g}" if settings.label_smoothing else "",
        f"weights averaged over {settings.ema.decay:g}" if settings.ema else "",
        f"images from {settings.progressive_resizing.initial_scale:g} of the size up"
        if settings.progressive_resizing
        else "",
        f"distilled from {Path(settings.distill.run).name}" if settings.distill else "",
        steps,
    ]
    return ", ".join(word for word in words if word)


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
