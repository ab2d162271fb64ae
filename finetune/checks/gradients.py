"""The gradient that training follows, against the slope of the loss itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from finetune.checks.registry import check
from finetune.checks.result import Result, judge, skip
from finetune.checks.subject import Subject
from finetune.optim.freeze import keep_running_statistics

IMAGES = 4
TENSORS, BUDGET_S = 16, 60.0
NUDGES = (1e-6, 1e-8)
"""The second where the first disagrees: fewer kinks lie within it, but rounding weighs more."""
TOLERANCE = 1e-3
SMALL = 1e-3
"""Slopes below this are compared as if they were this large: rounding reaches them."""


@check()
def gradient(subject: Subject) -> Result:
    """back-propagated gradients agree with central differences, in float64, on a slice of the parameters"""
    device = "cpu" if subject.device.type == "mps" else subject.device  # Apple's has no float64
    net = subject.net().to(device).double()
    inputs, targets = subject.batch(IMAGES)
    inputs, targets = inputs.to(device).double(), targets.to(device)

    def loss_of() -> Tensor:
        return subject.loss(net, inputs, targets)

    with keep_running_statistics(net):
        return _compare(net, loss_of)


def _compare(net: nn.Module, loss_of: Callable[[], Tensor]) -> Result:
    named = [(name, parameter) for name, parameter in net.named_parameters() if parameter.requires_grad]
    loss = loss_of()
    if not named or not loss.requires_grad:
        return skip("gradient", "nothing learns from the loss")
    gradients = torch.autograd.grad(loss, [parameter for _, parameter in named], allow_unused=True)
    worst, where, seen, deadline = 0.0, "", 0, time.monotonic() + BUDGET_S
    for index in torch.linspace(0, len(named) - 1, min(TENSORS, len(named))).round().long().tolist():
        name, parameter = named[index]
        found = gradients[index]
        flat = torch.zeros_like(parameter).flatten() if found is None else found.flatten()
        for element in {int(flat.abs().argmax()), parameter.numel() // 2}:
            off = min(_disagreements(parameter, element, float(flat[element]), loss_of))
            seen += 1
            if off > worst:
                worst, where = off, name
        if time.monotonic() > deadline:
            break
    return judge(
        "gradient",
        worst <= TOLERANCE,
        found=f"off by {worst:.1e} at most" + (f", in {where}" if where else "") + f" ({seen} parameters)",
        expected=f"at most {TOLERANCE:g}, relative",
        way_out="a layer's backward pass is wrong, or its forward pass is random or detaches a value",
        numbers={"worst": worst, "parameters": seen},
    )


def _disagreements(
    parameter: nn.Parameter, element: int, analytic: float, loss_of: Callable[[], Tensor]
) -> Iterator[float]:
    """How far the analytic slope is off, relative, for one nudge after another until it is well within."""
    for nudge in NUDGES:
        slope = central_difference(parameter, element, loss_of, nudge)
        off = abs(slope - analytic) / max(abs(slope), abs(analytic), SMALL)
        yield off
        if off <= TOLERANCE / 10:
            return


@torch.no_grad()
def central_difference(
    parameter: nn.Parameter, element: int, loss_of: Callable[[], Tensor], nudge: float
) -> float:
    """The slope of the loss along one element of a parameter, which is put back."""
    flat, values = parameter.view(-1), []
    kept = flat[element].clone()
    for side in (nudge, -nudge):
        flat[element] = kept + side
        values.append(float(loss_of()))
    flat[element] = kept
    return (values[0] - values[1]) / (2 * nudge)
