"""The check of back-propagation: gradients against differences of the loss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from finetune.checks.check import Result, check, judge, skip
from finetune.checks.subject import Subject
from finetune.optim.freeze import keep_running_statistics

IMAGES = 4
TENSORS, BUDGET_S = 16, 60.0
STEP_SIZES = (1e-6, 1e-8)
"""The smaller one is tried if the other disagrees: fewer kinks lie within it, but rounding weighs more."""
TOLERANCE = 1e-3
SMALL = 1e-3
"""Slopes below this are compared as if they were this large, because of rounding."""


@check()
def gradient(subject: Subject) -> Result:
    """back-propagated gradients agree with central differences, in float64, on some of the parameters"""
    device = "cpu" if subject.device.type == "mps" else subject.device  # Apple's GPUs have no float64
    net = subject.net().to(device).double()
    inputs, targets = subject.batch(IMAGES)
    inputs, targets = inputs.to(device).double(), targets.to(device)

    def loss_of() -> Tensor:
        return subject.loss(net(inputs), targets)

    with keep_running_statistics(net):
        return _compare(net, loss_of)


def _compare(net: nn.Module, loss_of: Callable[[], Tensor]) -> Result:
    named = [(name, parameter) for name, parameter in net.named_parameters() if parameter.requires_grad]
    loss = loss_of()
    if not named or not loss.requires_grad:
        return skip("no parameter is trained")
    gradients = torch.autograd.grad(loss, [parameter for _, parameter in named], allow_unused=True)
    worst, where, compared, deadline = 0.0, "", 0, time.monotonic() + BUDGET_S
    for index in torch.linspace(0, len(named) - 1, min(TENSORS, len(named))).round().long().tolist():
        (name, parameter), slope = named[index], gradients[index]
        flat = torch.zeros_like(parameter).flatten() if slope is None else slope.flatten()
        for element in {int(flat.abs().argmax()), parameter.numel() // 2}:
            error = min(_relative_errors(parameter, element, float(flat[element]), loss_of))
            compared += 1
            if error > worst:
                worst, where = error, name
        if time.monotonic() > deadline:
            break
    return judge(
        worst <= TOLERANCE,
        found=f"off by at most {worst:.1e}{f', in {where}' if where else ''} ({compared} parameters)",
        expected=f"at most {TOLERANCE:g}, relative",
        advice="a layer's backward pass is wrong, or its forward pass is random or detaches a value",
        numbers={"worst": worst, "parameters": compared},
    )


def _relative_errors(
    parameter: nn.Parameter, element: int, slope: float, loss_of: Callable[[], Tensor]
) -> Iterator[float]:
    """Yield the relative error of a slope for each step size, until it is well within the tolerance."""
    for step_size in STEP_SIZES:
        difference = central_difference(parameter, element, loss_of, step_size)
        error = abs(difference - slope) / max(abs(difference), abs(slope), SMALL)
        yield error
        if error <= TOLERANCE / 10:
            return


@torch.no_grad()
def central_difference(
    parameter: nn.Parameter, element: int, loss_of: Callable[[], Tensor], step_size: float
) -> float:
    """Return the slope of the loss along one element of a parameter, which is restored."""
    flat, losses = parameter.view(-1), []
    original = flat[element].clone()
    for offset in (step_size, -step_size):
        flat[element] = original + offset
        losses.append(float(loss_of()))
    flat[element] = original
    return (losses[0] - losses[1]) / (2 * step_size)
