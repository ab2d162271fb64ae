"""Checks of learning: whether each parameter does that should, and whether the network can learn at all."""

from __future__ import annotations

import time
from functools import partial

import torch
from torch import nn

from finetune.checks.check import Result, check, judge, shorten, skip
from finetune.checks.subject import EXAMPLES, Subject, position
from finetune.runtime.seeds import make_generator

RATE = 0.01
"""High enough to change every weight in float32, whatever the plan's own rate."""
JITTER = 0.01
OVERFIT_IMAGES = 20
OVERFIT_RATES, STEPS_PER_RATE = (1e-3, 1e-2, 1e-4), 100
BUDGET_S = 120.0


@check(brief=True)
def frozen(subject: Subject) -> Result:
    """every layer that should train is given to the optimiser"""
    step = subject.trial(learning_rate=RATE)
    optimised = {id(parameter) for group in step.optimizer.param_groups for parameter in group["params"]}
    missing = [
        name
        for name, parameter in step.accelerator.unwrap_model(step.net).named_parameters()
        if name in subject.trainable and not (parameter.requires_grad and id(parameter) in optimised)
    ]
    return judge(
        not missing,
        found=f"frozen: {shorten(_layers(missing))}"
        if missing
        else f"all {len(subject.trainable)} parameters train",
        expected="what starts at random, and what the plan names, trains",
        advice="let them train: a rate above 0 in finetune.stage_rates, or finetune.strategy=full",
        numbers={"parameters": len(missing)},
    )


@check(brief=True)
def detached(subject: Subject) -> Result:
    """every layer that should train gets a gradient, and an update changes it"""
    step = subject.trial(learning_rate=RATE)
    net = step.accelerator.unwrap_model(step.net)
    _perturb_constants(net)
    before = {name: p.detach().clone() for name, p in net.named_parameters() if p.requires_grad}
    reached = _record_gradients(net)
    step(*subject.images(EXAMPLES), position(0))
    after = dict(net.named_parameters())
    unchanged = [
        name
        for name, old in before.items()
        if name in subject.trainable and name not in reached and torch.equal(old, after[name])
    ]
    return judge(
        not unchanged,
        found=f"no gradient reaches {shorten(_layers(unchanged))}"
        if unchanged
        else "a gradient reaches every parameter",
        expected="a gradient for every parameter that trains",
        advice="something cuts them off from the loss: an output that nothing uses, or a detached value",
        numbers={"parameters": len(unchanged)},
    )


@check()
def overfit(subject: Subject) -> Result:
    """twenty images are memorised, with regularisation and augmentation off"""
    inputs, targets = subject.batch(OVERFIT_IMAGES)
    deadline, best, steps = time.monotonic() + BUDGET_S, 0.0, 0
    task = subject.setup.task
    required = task.memorised
    for rate in OVERFIT_RATES:
        net = subject.net()
        trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=rate)
        for _ in range(STEPS_PER_RATE):
            logits = net(inputs)
            best = max(best, float(task.correct(logits, targets).nanmean()))
            if best >= required or time.monotonic() > deadline:
                break
            optimizer.zero_grad()
            subject.loss(logits, targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            steps += 1
        if best >= required:
            break
        if time.monotonic() > deadline:
            return skip(f"accuracy {best:.2f} after {steps} steps, when {BUDGET_S:g} s were over")
    return judge(
        best >= required,
        found=f"accuracy {best:.2f} on {len(targets)} images after {steps} steps",
        expected=f"{required:.2f}",
        advice="look for weights that cannot learn, wrong inputs, or one image under two labels",
        numbers={"accuracy": best, "steps": steps, "images": len(targets)},
    )


def _perturb_constants(net: nn.Module) -> None:
    """Add noise to constant parameters: a branch that starts at zero has no gradient, but is attached."""
    generator = make_generator(0, "shake")
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.numel() and bool((parameter == parameter.flatten()[0]).all()):
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(JITTER * noise.to(parameter))


def _record_gradients(net: nn.Module) -> set[str]:
    """Return a set to which each backward pass adds the parameters that get a gradient.

    That of a bias before a batch norm is only rounding error, too small to change the bias.
    """
    reached: set[str] = set()

    def record(name: str, gradient: torch.Tensor) -> None:
        if bool(gradient.any()):
            reached.add(name)

    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            parameter.register_hook(partial(record, name))  # type: ignore[no-untyped-call]
    return reached


def _layers(names: list[str]) -> list[str]:
    """Return the layers that parameters belong to, each once."""
    return list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
