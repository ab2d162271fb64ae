"""Whether each parameter that ought to learn does."""

from __future__ import annotations

import torch
from torch import nn

from finetune.checks.registry import check
from finetune.checks.result import Result, judge, shorten
from finetune.checks.subject import EXAMPLES, Subject, position
from finetune.runtime.seeds import make_generator

RATE = 0.01
"""High enough to move every weight in float32, whatever the plan's own rate."""
JITTER = 0.01


@check(brief=True)
def frozen(subject: Subject) -> Result:
    """every layer that should train is given to the optimiser"""
    learning = subject.learning
    step = subject.trial(learning_rate=RATE)
    taken = {id(parameter) for group in step.optimizer.param_groups for parameter in group["params"]}
    still = [
        name
        for name, parameter in step.accelerator.unwrap_model(step.net).named_parameters()
        if name in learning and not (parameter.requires_grad and id(parameter) in taken)
    ]
    return judge(
        "frozen",
        not still,
        found=f"frozen: {shorten(_layers(still))}" if still else f"all {len(learning)} parameters train",
        expected="what starts at random, and what the plan names, trains",
        way_out="let them train: a rate above 0 in finetune.stage_rates, or finetune.strategy=full",
        numbers={"parameters": len(still)},
    )


@check(brief=True)
def detached(subject: Subject) -> Result:
    """every layer that should train gets a gradient, and an update moves it"""
    step = subject.trial(learning_rate=RATE)
    net = step.accelerator.unwrap_model(step.net)
    _shake(net)
    before = {name: p.detach().clone() for name, p in net.named_parameters() if p.requires_grad}
    step(*subject.images(EXAMPLES), position(0))
    after = dict(net.named_parameters())
    still = [
        name for name, old in before.items() if name in subject.learning and torch.equal(old, after[name])
    ]
    return judge(
        "detached",
        not still,
        found=f"no gradient reaches {shorten(_layers(still))}"
        if still
        else "an update moves every parameter",
        expected="a gradient for every parameter that trains",
        way_out="something cuts them off from the loss: a branch that nothing reads, or a detached value",
        numbers={"parameters": len(still)},
    )


def _shake(net: nn.Module) -> None:
    """Move parameters that start constant off it: a branch that starts at zero is shut, and not detached."""
    generator = make_generator(0, "shake")
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.numel() and bool((parameter == parameter.flatten()[0]).all()):
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(JITTER * noise.to(parameter))


def _layers(names: list[str]) -> list[str]:
    """The layers that parameters belong to, each once."""
    return list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
