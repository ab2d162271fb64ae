"""Images a second of one training step, against a bare PyTorch loop in the same precision, and in float32."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn

import zoo
from finetune.engine.build import build_step
from finetune.engine.step import BatchPosition
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import prepare
from finetune.planning.choose import choose_plan
from finetune.runtime.precision import EXACT, Precision

BATCH, STEPS = 32, 3


@dataclass(frozen=True)
class Speeds:
    """Seconds a step of Graft, of a bare loop in the same precision, and of one in plain float32."""

    graft: float
    bare: float
    plain: float
    precision: str


def training_speeds(name: str = "resnet18") -> Speeds:
    """Measure on the builtin digits at the network's own size."""
    recipe = read_recipe(
        name, set={"finetune.weights": "none", "finetune.batch_size": BATCH, "finetune.epochs": 1}
    )
    splits = load_data(recipe)
    setup = prepare(recipe, splits)
    plan = choose_plan(setup)
    images = torch.stack([torch.as_tensor(setup.train[i][0]) for i in range(BATCH)])
    targets = torch.tensor([int(splits.train.targets[i]) for i in range(BATCH)])
    step = build_step(setup, plan, Accelerator())
    place = BatchPosition(0, 0, 0, last=True)
    pixels = setup.preprocess.normalise(images)
    graft, bare = in_turn(
        lambda: step(images, targets, place), bare_step(recipe, pixels, targets, plan.precision), runs=STEPS
    )
    [plain] = in_turn(bare_step(recipe, pixels, targets, EXACT), runs=STEPS)
    return Speeds(graft, bare, plain, plan.precision.name)


def bare_step(recipe: zoo.Spec, pixels: Tensor, targets: Tensor, precision: Precision) -> Callable[[], None]:
    """Forward, loss, backward, update, and nothing else."""
    net = zoo.build(recipe, classes=10)
    if precision.channels_last:
        net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    inputs = precision.arrange(pixels)

    def step() -> None:
        with precision.context("cpu"):
            loss = nn.functional.cross_entropy(net(inputs).float(), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return step


def in_turn(*functions: Callable[[], object], runs: int) -> list[float]:
    """Best seconds of functions that take turns, after one turn each that does not count."""
    seconds: list[list[float]] = [[] for _ in functions]
    for run in range(runs + 1):
        for function, taken in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            if run:
                taken.append(time.perf_counter() - start)
    return [min(taken) for taken in seconds]
