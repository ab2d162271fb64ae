"""Whether the network can learn anything at all: a few images by heart."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from finetune.checks.registry import check
from finetune.checks.result import Result, judge, skip
from finetune.checks.subject import Subject
from finetune.data.masks import IGNORED

IMAGES = 20
RATES = (1e-3, 1e-2, 1e-4)
STEPS_A_RATE = 100
OF_PIXELS = 0.95
"""What is enough of masks, whose edges are drawn coarser than the images."""
BUDGET_S = 120.0


@check()
def overfit(subject: Subject) -> Result:
    """twenty images are learnt by heart, with regularisation and augmentation off"""
    inputs, targets = subject.batch(IMAGES)
    deadline, best, steps = time.monotonic() + BUDGET_S, 0.0, 0
    wanted = 1.0 if targets.ndim == 1 else OF_PIXELS
    for rate in RATES:
        net = subject.net()
        learning = [parameter for parameter in net.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(learning, lr=rate)
        for _ in range(STEPS_A_RATE):
            logits = net(inputs)
            best = max(best, _accuracy(logits, targets))
            if best >= wanted or time.monotonic() > deadline:
                break
            optimizer.zero_grad()
            subject.setup.task.loss(0.0)(logits, targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            steps += 1
        if best >= wanted:
            break
        if time.monotonic() > deadline:
            return skip("overfit", f"accuracy {best:.2f} after {steps} steps, when {BUDGET_S:g} s were over")
    return judge(
        "overfit",
        best >= wanted,
        found=f"accuracy {best:.2f} on {len(targets)} images after {steps} steps",
        expected=f"{wanted:.2f}",
        way_out="the fault lies before any recipe: weights that cannot learn, inputs, or one image twice "
        "under two labels",
        numbers={"accuracy": best, "steps": steps, "images": len(targets)},
    )


def _accuracy(logits: Tensor, targets: Tensor) -> float:
    """The share of images, or of pixels that count, that are answered rightly."""
    counts = targets != IGNORED
    return float((logits.argmax(1) == targets)[counts].float().mean())
