"""Checks of the network before its first step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from finetune.checks.check import Result, check, judge, shorten, skip
from finetune.checks.subject import Subject
from finetune.engine.dead_units import dead_shares
from finetune.regularization.penalties import Penalty

TOLERANCE, TOLERANCE_FLOOR = 0.25, 0.1
"""How far the first loss may be off, as a share of ln C and in nats: a new head is never quite even."""
MOST_DEAD = 0.5
INCREASE = 10.0
WEAK_L2 = 1e-3
EQUAL = 1e-4
MATRIX_AXES = 2


@check(brief=True)
def initial_loss(subject: Subject) -> Result:
    """the loss at the start is ln C, that of an even guess"""
    expected, found = subject.chance_loss, subject.first_pass.loss
    tolerance, origin = TOLERANCE * expected + TOLERANCE_FLOOR, subject.setup.origin
    fitted = subject.plan.head == "probe"
    trained = fitted or (origin is not None and not origin.audit.fresh)
    low, most = (-math.inf, "at most ") if trained else (expected - tolerance, "")
    advice = (
        "finetune.head=fresh: the head was fitted with batch norms in evaluation mode, and in training "
        "they use the statistics of each batch"
        if fitted
        else "normalise the input, or start the head smaller: choices.init, as in "
        "{path: HEAD, weight: {normal: {std: 0.01}}}"
    )
    return judge(
        low <= found <= expected + tolerance,
        found=f"{found:.3f}",
        expected=f"{most}{expected:.3f} (ln {subject.classes}), within {tolerance:.2f}",
        advice=advice,
        numbers={"loss": found, "expected": expected},
    )


@check(brief=True)
def regularisation(subject: Subject) -> Result:
    """the loss with its penalties rises when these are increased"""
    settings = subject.setup.settings
    net = subject.net()
    weights = {n: p for n, p in net.named_parameters() if p.requires_grad and p.ndim >= MATRIX_AXES}
    if not weights:
        return skip("no weight matrix is trained")
    l2 = settings.l2 or settings.weight_decay or WEAK_L2
    penalties = [
        float(Penalty(weights, l1=settings.l1 * factor, l2=l2 * factor).value().detach())
        for factor in (1.0, INCREASE)
    ]
    loss = subject.first_pass.loss
    return judge(
        loss + penalties[1] > loss + penalties[0],
        found=f"{loss + penalties[0]:.4f}, and {loss + penalties[1]:.4f} with penalties times {INCREASE:g}",
        expected="the second above the first",
        advice="the trained weights are all 0, or not finite: see choices.init",
        numbers={"loss": loss, "penalty": penalties[0], "penalty_increased": penalties[1]},
    )


@check(brief=True)
def initial_weights(subject: Subject) -> Result:
    """no layer starts with equal units that stay equal, as with zero or constant weights"""
    named = dict(subject.setup.net.named_parameters())
    gradients = subject.first_pass.gradients
    same = [
        name.removesuffix(".weight")
        for name, weight in named.items()
        if name in subject.trainable
        and weight.ndim >= MATRIX_AXES
        and _equal_units(weight.detach())
        and ((gradient := gradients[name]) is None or _equal_units(gradient))
    ]
    return judge(
        not same,
        found=f"all units equal in {shorten(same)}" if same else "units differ, or will after a step",
        expected="the units of a layer differ, or their gradients do",
        advice="draw the weights at random: choices.init, as in {layer: conv, weight: kaiming_normal}",
        numbers={"layers": len(same)},
    )


@check(brief=True)
def activations(subject: Subject) -> Result:
    """units respond differently to different images: few are dead or saturated"""
    shares = dead_shares(subject.first_pass.dead)
    if not shares:
        return skip("the network has no activation that is a module")
    bad = {layer: share for layer, share in shares.items() if share > MOST_DEAD}
    worst = max(shares, key=shares.__getitem__)
    listed = [f"{layer} ({share:.0%})" for layer, share in bad.items()]
    return judge(
        not bad,
        found=f"dead units in {shorten(listed)}" if bad else f"at most {shares[worst]:.0%} dead ({worst})",
        expected=f"at most {MOST_DEAD:.0%} of a layer's units dead or saturated",
        advice="normalise the input, start the weights by kaiming_normal, or choose leaky_relu or a norm",
        numbers={"worst_share": shares[worst], "layers": len(bad)},
    )


def _equal_units(weight: Tensor) -> bool:
    """Return whether all units (rows) have equal weights; a single unit, whether its weights are all 0."""
    rows = weight.flatten(1)
    spread = (rows - rows[:1]).abs().amax()
    return bool(spread <= EQUAL * rows.abs().amax()) and (len(rows) > 1 or not torch.any(rows))
