"""`make bench`: images per second of a training step against bare PyTorch loops, into docs/speed.md.

The bare loops do forward, loss, backward and update on a batch that is normalised already, in float32 and in
bfloat16, channels first and last. All take turns with Graft's step, which runs in the arithmetic that a run
chooses here. A loop that is LAGGING is not repeated.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

import zoo
from bench.document import machine, write_or_print
from finetune.engine.build import build_step
from finetune.engine.step import BatchPosition
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import prepare
from finetune.planning.choose import choose_plan
from finetune.probes.arithmetic import choose_arithmetic
from finetune.runtime.precision import Precision

BATCH, TURNS = 32, 3
LAGGING = 2.0
"""Seconds of a loop as a multiple of the fastest one's, above which it is timed only once."""
NETWORKS = ("resnet18", "efficientnet_lite0", "mobilenet_v3_small", "densenet121")
SIDE = 224
GRAFT = "graft"
PAGE, MARK = Path("docs/speed.md"), "training"
LOOPS = [Precision(*flags) for flags in product((False, True), repeat=2)]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    lines = [
        f"| network, {BATCH} images of {SIDE} pixels | {' | '.join(loop.name for loop in LOOPS)} | Graft | "
        "of the fastest loop | arithmetic |",
        "|---|" + "---:|" * (len(LOOPS) + 2) + "---|",
    ]
    for name in parser.parse_args().networks:
        lines.append(_measure(name))
        print(lines[-1], flush=True)
    note = "Images per second of bare loops and of Graft. A dash: not measured, or too slow to be repeated."
    write_or_print(PAGE, MARK, "\n".join([*lines, "", note, machine()]))


def _measure(name: str) -> str:
    """Return the line of one network, trained on the builtin digits."""
    given = {"finetune.weights": "none", "finetune.batch_size": BATCH, "finetune.epochs": 1}
    recipe = read_recipe(name, set=given)
    setup = choose_arithmetic(prepare(recipe, load_data(recipe)))
    plan = choose_plan(setup)
    images = torch.stack([torch.as_tensor(setup.train[i][0]) for i in range(BATCH)])
    targets = torch.tensor([int(setup.train.split.targets[i]) for i in range(BATCH)])
    step, place = build_step(setup, plan, Accelerator()), BatchPosition(0, 0, 0, last=True)
    pixels = setup.preprocess.normalise(images)
    loops = {loop.name: bare_step(recipe, pixels, targets, loop) for loop in LOOPS}
    seconds = in_turn({GRAFT: lambda: step(images, targets, place), **loops})
    fastest = min(seconds[loop] for loop in loops if loop in seconds)
    speeds = [f"{BATCH / seconds[loop]:.1f}" if loop in seconds else "—" for loop in loops]
    graft = seconds[GRAFT]
    cells = [name, *speeds, f"{BATCH / graft:.1f}", f"{fastest / graft:.2f}", plan.precision.name]
    return f"| {' | '.join(cells)} |"


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


def in_turn(functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the best seconds of functions that take turns, after one turn that does not count.

    Loops that lag behind in that turn take no others, and are left out.
    """
    first = {name: _seconds(function) for name, function in functions.items()}
    limit = LAGGING * min(first.values())
    running = {
        name: function for name, function in functions.items() if name == GRAFT or first[name] <= limit
    }
    turns = [{name: _seconds(function) for name, function in running.items()} for _ in range(TURNS)]
    return {name: min(turn[name] for turn in turns) for name in running}


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
