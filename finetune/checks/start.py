"""What the network does before it has learnt anything."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from finetune.checks.registry import check
from finetune.checks.result import Result, judge, shorten, skip
from finetune.checks.subject import Subject
from finetune.engine.dead_units import dead_shares
from finetune.regularization.penalties import Penalty
from finetune.tasks.base import chance_loss

TOLERANCE, TOLERANCE_FLOOR = 0.25, 0.1
"""How far the first loss may be off, in shares of ln C and in nats: a fresh head is never quite even."""
MOST_DEAD = 0.5
TURNED_UP = 10.0
WEAK_L2 = 1e-3
ALIKE = 1e-4
MATRIX_AXES = 2


@check(brief=True)
def initial_loss(subject: Subject) -> Result:
    """the loss at the start is ln C, that of an even guess"""
    expected, found = chance_loss(subject.classes), subject.first_pass.loss
    tolerance = TOLERANCE * expected + TOLERANCE_FLOOR
    fitted = subject.plan.head == "probe"
    knows = fitted or (subject.setup.origin is not None and not subject.setup.origin.audit.fresh)
    low = -math.inf if knows else expected - tolerance
    most = "at most " if knows else ""
    way_out = (
        "finetune.head=fresh: the head was fitted to what batch norms make of images by their stored "
        "statistics, and in training they go by those of each batch"
        if fitted
        else "normalise the input, or start the head smaller: choices.init, as in "
        "{path: HEAD, weight: {normal: {std: 0.01}}}"
    )
    return judge(
        "initial_loss",
        low <= found <= expected + tolerance,
        found=f"{found:.3f}",
        expected=f"{most}{expected:.3f} (ln {subject.classes}), within {tolerance:.2f}",
        way_out=way_out,
        numbers={"loss": found, "expected": expected},
    )


@check(brief=True)
def regularisation(subject: Subject) -> Result:
    """the loss with its penalties goes up when these are turned up"""
    name, settings = "regularisation", subject.setup.settings
    net = subject.net()
    weights = {n: p for n, p in net.named_parameters() if p.requires_grad and p.ndim >= MATRIX_AXES}
    if not weights:
        return skip(name, "no weight matrix learns")
    l2 = settings.l2 or settings.weight_decay or WEAK_L2
    penalties = [
        float(Penalty(weights, l1=settings.l1 * factor, l2=l2 * factor).value().detach())
        for factor in (1.0, TURNED_UP)
    ]
    loss = subject.first_pass.loss
    return judge(
        name,
        loss + penalties[1] > loss + penalties[0],
        found=f"{loss + penalties[0]:.4f}, and {loss + penalties[1]:.4f} with penalties times {TURNED_UP:g}",
        expected="the second above the first",
        way_out="the weights that learn are all 0, or not finite: look at choices.init",
        numbers={"loss": loss, "penalty": penalties[0], "penalty_turned_up": penalties[1]},
    )


@check(brief=True)
def initial_weights(subject: Subject) -> Result:
    """no layer starts with units that are alike and stay alike, as zero or constant weights make them"""
    named = dict(subject.setup.net.named_parameters())
    gradients = subject.first_pass.gradients
    same = [
        name.removesuffix(".weight")
        for name, weight in named.items()
        if name in subject.learning
        and weight.ndim >= MATRIX_AXES
        and _alike(weight.detach())
        and _alike_or_none(gradients[name])
    ]
    return judge(
        "initial_weights",
        not same,
        found=f"all units alike in {shorten(same)}" if same else "units differ, or will after a step",
        expected="every layer's units start apart, or their gradients drive them apart",
        way_out="draw the weights at random: choices.init, as in {layer: conv, weight: kaiming_normal}",
        numbers={"layers": len(same)},
    )


@check(brief=True)
def activations(subject: Subject) -> Result:
    """units answer differently to different images: few are dead or saturated"""
    shares = dead_shares(subject.first_pass.dead)
    if not shares:
        return skip("activations", "the network has no activation that is a module of its own")
    bad = {layer: share for layer, share in shares.items() if share > MOST_DEAD}
    worst = max(shares, key=shares.__getitem__)
    listed = [f"{layer} ({share:.0%})" for layer, share in bad.items()]
    return judge(
        "activations",
        not bad,
        found=f"dead units in {shorten(listed)}" if bad else f"at most {shares[worst]:.0%} dead ({worst})",
        expected=f"at most {MOST_DEAD:.0%} of a layer's units dead or saturated",
        way_out="normalise the input, start the weights by kaiming_normal, or choose leaky_relu or a norm",
        numbers={"worst_share": shares[worst], "layers": len(bad)},
    )


def _alike(weight: Tensor) -> bool:
    """Whether all rows, each a unit's weights, are the same; a layer of one unit has none to differ from."""
    rows = weight.flatten(1)
    spread = (rows - rows[:1]).abs().amax()
    return bool(spread <= ALIKE * rows.abs().amax()) and (len(rows) > 1 or not torch.any(rows))


def _alike_or_none(gradient: Tensor | None) -> bool:
    return gradient is None or _alike(gradient)
