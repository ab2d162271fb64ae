"""Caching the outputs of frozen stages: whether a run does, and for how many views of each image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from finetune.config import FinetuneSettings
from finetune.data.dataset import EpochDataset
from finetune.data.shared_memory import MIB
from finetune.engine.step import Step
from finetune.experiment.setup import Setup
from finetune.features.cached_features import CachedFeatures, view_mb
from finetune.features.frozen_stages import TRIED, FrozenStages, find_frozen_stages
from finetune.records.plan import Plan

MAX_VIEWS, EPOCHS_PER_VIEW = 4, 4
"""`auto` takes at most so many views, and so few that each is shown in at least so many epochs."""


@dataclass(frozen=True)
class TrainingData:
    """The training and validation data of a run, the step that takes them, and a message or ''."""

    train: EpochDataset
    val: EpochDataset
    step: Step
    message: str = ""


@dataclass(frozen=True)
class CachePlan:
    """Cache the outputs of `stages` for `views` of the `requested` views, each of `view_mb` MiB."""

    stages: FrozenStages
    views: int
    requested: int
    view_mb: float


def cache_frozen_stages(setup: Setup, plan: Plan, step: Step) -> TrainingData:
    """Return the cached outputs of the frozen stages in place of the images, unless something prevents it.

    In that case the images are returned, and the message says why if the spec requests a number of views.
    """
    room_mb = setup.train.room.left / MIB
    cache = _plan_cache(setup, plan, step, room_mb)
    if isinstance(cache, str):
        requested = isinstance(setup.settings.partial.views, int)
        message = f"  frozen stages are not cached: {cache}" if requested else ""
        return TrainingData(setup.train, setup.val, step, message)
    step = replace(step, frozen_stages=cache.stages)
    cached = partial(
        CachedFeatures,
        compute=partial(compute_outputs, step),
        batch_size=plan.batch_size * 2,  # nothing is kept for a backward pass
        workers=setup.data.workers,
    )
    val_fits = len(setup.val) and view_mb(cache.stages, setup.val) <= room_mb - cache.views * cache.view_mb
    left = f" (of {cache.requested}: data.cache_mb leaves {room_mb:.0f} MiB)"
    fewer = left if cache.views < cache.requested else ""
    return TrainingData(
        train=cached(setup.train, views=cache.views),
        val=cached(setup.val, views=1) if val_fits else setup.val,
        step=step,
        message=f"  the frozen stages up to {cache.stages.boundary} are cached: {cache.views} "
        f"{'view' if cache.views == 1 else 'views'} of {len(setup.train)} images{fewer}, "
        f"{cache.views * cache.view_mb:.0f} MiB",
    )


def reasons_not_to_cache(settings: FinetuneSettings, views: int, processes: int = 1) -> Iterator[str]:
    """Yield each reason why a recipe cannot train on cached outputs.

    It uses or changes the pixels in every step, or no view would be shown twice.
    """
    live_teacher = settings.distill is not None and not settings.distill.cached
    reasons = {
        "finetune.partial.views is none": settings.partial.views == "none",
        "finetune.mixup blends pixels": settings.mixup,
        "finetune.cutmix pastes pixels": settings.cutmix,
        "finetune.input_noise changes pixels in every step": settings.input_noise,
        "finetune.adversarial changes pixels in every step": settings.adversarial,
        "finetune.progressive_resizing changes the size of images": settings.progressive_resizing,
        "finetune.distill shows pixels to its teacher": live_teacher,
        f"{processes} processes train, and each would compute all views": processes > 1,
        "too few epochs would show a view again": not views,
    }
    return (reason for reason, holds in reasons.items() if holds)


def count_views(requested: int | str, epochs: int, *, augmented: bool) -> int:
    """Return how many views are worth computing; without augmentation all views are the same."""
    if requested == "none" or epochs == 1:
        return 0
    if not augmented:
        return 1
    if isinstance(requested, int):
        return min(requested, epochs)
    return min(epochs // EPOCHS_PER_VIEW, MAX_VIEWS)


def compute_outputs(step: Step, images: Tensor) -> Tensor:
    """Return the outputs of the step's frozen stages for uint8 images (N, 3, h, w), in main memory."""
    assert step.frozen_stages is not None
    net = step.accelerator.unwrap_model(step.net)
    with step.precision.context(step.accelerator.device):
        return step.frozen_stages.outputs(net, step.inputs(images)).cpu()


def _plan_cache(setup: Setup, plan: Plan, step: Step, room_mb: float) -> CachePlan | str:
    """Return what to cache, or why nothing is cached."""
    settings, augmented = setup.settings, setup.train.augment is not None
    views = count_views(settings.partial.views, plan.epochs, augmented=augmented)
    for reason in reasons_not_to_cache(settings, views, step.accelerator.num_processes):
        return reason
    shape = (TRIED, 3, setup.preprocess.height, setup.preprocess.width)
    noise = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).byte()
    net = step.accelerator.unwrap_model(step.net)
    stages = find_frozen_stages(net, setup.anatomy.stages, step.inputs(noise), step.precision)
    if stages is None:
        return "no stage separates what is frozen from what is trained"
    size_mb = view_mb(stages, setup.train)
    if size_mb > room_mb:
        return f"a view takes {size_mb:.0f} MiB, and data.cache_mb leaves {room_mb:.0f}"
    return CachePlan(stages, min(views, int(room_mb / size_mb)), views, size_mb)
