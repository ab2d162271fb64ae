"""Whether a run keeps what its frozen lower stages give out, and in how many views."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from finetune.config import FinetuneSettings
from finetune.data.dataset import EpochDataset
from finetune.engine.step import Step
from finetune.experiment.setup import Setup
from finetune.features.lower import TRIED, Lower, find_lower
from finetune.features.stored import StoredOutputs, view_mb
from finetune.records.plan import Plan

MOST_VIEWS, EPOCHS_A_VIEW = 4, 4
"""`auto` takes so many views at most, and so few that each is shown in so many epochs at least."""


@dataclass(frozen=True)
class Feed:
    """What a run learns from and is validated on, the step that takes it, and a line about it, or ''."""

    train: EpochDataset
    val: EpochDataset
    step: Step
    said: str = ""


@dataclass(frozen=True)
class Cached:
    """That the outputs of `lower` are kept: in `views` of the `wanted` ones, each of so many MiB."""

    lower: Lower
    views: int
    wanted: int
    view_mb: float


def build_feed(setup: Setup, plan: Plan, step: Step) -> Feed:
    """The outputs of the frozen lower stages in place of images, where nothing speaks against it.

    Without, the images as they are; the line then says why if the spec asks for a number of views.
    """
    cached, room_mb = _settle(setup, plan, step), setup.data.cache_mb
    if isinstance(cached, str):
        asked = isinstance(setup.settings.partial.views, int)
        said = f"  frozen stages are not cached: {cached}" if asked else ""
        return Feed(setup.train, setup.val, step, said)
    step = replace(step, lower=cached.lower)
    stored = partial(
        StoredOutputs,
        compute=partial(compute_outputs, step),
        batch_size=plan.batch_size * 2,  # nothing is kept for a backward pass
        workers=setup.data.workers,
    )
    val_fits = len(setup.val) and view_mb(cached.lower, setup.val) <= room_mb
    fewer = f" (of {cached.wanted}: data.cache_mb is {room_mb})" if cached.views < cached.wanted else ""
    return Feed(
        train=stored(setup.train, views=cached.views),
        val=stored(setup.val, views=1) if val_fits else setup.val,
        step=step,
        said=f"  the frozen stages up to {cached.lower.boundary} are cached: {cached.views} "
        f"{'view' if cached.views == 1 else 'views'} of {len(setup.train)} images{fewer}, "
        f"{cached.views * cached.view_mb:.0f} MiB",
    )


def _settle(setup: Setup, plan: Plan, step: Step) -> Cached | str:
    """What is kept, or why nothing is."""
    settings, augmented = setup.settings, setup.train.augment is not None
    wanted = count_views(settings.partial.views, plan.epochs, augmented=augmented)
    for reason in reasons_against(settings, wanted, step.accelerator.num_processes):
        return reason
    lower = _find(setup, step)
    if lower is None:
        return "no stage can be cut off below all that learns"
    size_mb, room_mb = view_mb(lower, setup.train), setup.data.cache_mb
    if size_mb > room_mb:
        return f"a view takes {size_mb:.0f} MiB, and data.cache_mb is {room_mb}"
    return Cached(lower, min(wanted, int(room_mb / size_mb)), wanted, size_mb)


def reasons_against(settings: FinetuneSettings, views: int, processes: int = 1) -> Iterator[str]:
    """What in a recipe is at odds with stored outputs, each in words.

    It looks at pixels in every step, or changes them or the lower part; or nothing would be shown twice.
    """
    reasons = {
        "finetune.partial.views is none": settings.partial.views == "none",
        "finetune.mixup blends pixels": settings.mixup,
        "finetune.cutmix pastes pixels": settings.cutmix,
        "finetune.input_noise changes pixels in every step": settings.input_noise,
        "finetune.adversarial changes pixels in every step": settings.adversarial,
        "finetune.progressive_resizing changes the size of images": settings.progressive_resizing,
        "finetune.distill shows pixels to its teacher": settings.distill,
        f"{processes} processes train, and each would compute all views": processes > 1,
        "too few epochs would show a view again": not views,
    }
    return (reason for reason, holds in reasons.items() if holds)


def count_views(wanted: int | str, epochs: int, *, augmented: bool) -> int:
    """How many views are worth their computing: 0 where none is; without augmentation all are the same."""
    if wanted == "none" or epochs == 1:
        return 0
    if not augmented:
        return 1
    return min(wanted, epochs) if isinstance(wanted, int) else min(epochs // EPOCHS_A_VIEW, MOST_VIEWS)


def compute_outputs(step: Step, images: Tensor) -> Tensor:
    """What the step's lower part gives for uint8 images (N, 3, h, w), in memory, as training would see it."""
    assert step.lower is not None, "the step has a lower part"
    net = step.accelerator.unwrap_model(step.net)
    with step.precision.context(step.accelerator.device):
        return step.lower.outputs(net, step.inputs(images)).cpu()


def _find(setup: Setup, step: Step) -> Lower | None:
    """The lower part of the step's network, tried out on noise."""
    shape = (TRIED, 3, setup.preprocess.height, setup.preprocess.width)
    noise = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).byte()
    net = step.accelerator.unwrap_model(step.net)
    return find_lower(net, setup.anatomy.stages, step.inputs(noise), step.precision)
