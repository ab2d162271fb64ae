"""Carrying out a plan: fit a linear classifier on frozen features, or train by gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Console
from torch import nn

from finetune.engine.build import build_trainer
from finetune.experiment.setup import Setup
from finetune.fit.callbacks import train
from finetune.fit.members import train_members
from finetune.fit.refit import train_again
from finetune.models.rebuild import Training, rebuild_net
from finetune.models.stage_probe import build_stage_probe
from finetune.probes.network import fit_head, network_features, start_head
from finetune.probes.stage_select import fit_stage_probe
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder, write_weights
from finetune.strategies import find_strategy
from zoo.errors import GraftError


@dataclass(frozen=True)
class Trained:
    """A trained network, and how its training went: plain numbers, with all that `rebuild` needs."""

    net: nn.Module
    training: Training


def execute_plan(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Trained:
    """Train the setup's network as the plan says; its weights are also written to the folder.

    Raises: GraftError when a linear probe has no linear head to write into, or when training breaks down.
    """
    _check_probe(setup, plan)
    start_head(setup, plan)
    fit = PROBE_FITTERS.get(find_strategy(plan.strategy).fitter)
    if fit is not None:
        trained = fit(setup)
    elif setup.settings.ensemble is not None:
        trained = Trained(*train_members(setup, plan, folder, console))
    elif setup.settings.after_stopping != "keep":
        trained = Trained(*train_again(setup, plan, folder, console))
    else:
        return Trained(setup.net, train(build_trainer(setup, plan, folder, console)).summary())
    write_weights(folder.weights, trained.net)
    return trained


def rebuild(setup: Setup, training: Training, folder: RunFolder) -> Trained:
    """The network that `execute_plan` left in the folder."""
    head, classes = setup.anatomy.head, len(setup.classes)
    net = rebuild_net(setup.net, training, folder.weights, head=head, classes=classes)
    return Trained(net, training)


def _check_probe(setup: Setup, plan: Plan) -> None:
    """Raises: GraftError when a linear classifier is to be fitted, and the spec wants more than that."""
    settings = setup.settings
    wanted = {"ensemble": settings.ensemble is not None, "after_stopping": settings.after_stopping != "keep"}
    named = [f"finetune.{key}" for key, value in wanted.items() if value]
    if named and find_strategy(plan.strategy).probe:
        raise GraftError(
            f"{named[0]} is about training by gradient, and the plan is {plan.strategy}, which fits a linear "
            "classifier\n  expected: finetune.strategy partial, full or scratch, or a spec without it"
        )


def _fit_head(setup: Setup) -> Trained:
    probe = fit_head(setup)
    accuracy = probe.accuracy
    return Trained(
        setup.net,
        {
            "strength": probe.cv.strength,
            "cross_validated_accuracy": accuracy.value,
            "standard_error": accuracy.error,
        },
    )


def _fit_stages(setup: Setup) -> Trained:
    classes, seed = len(setup.classes), setup.settings.seed
    fit = fit_stage_probe(network_features(setup), setup.splits.train.targets, classes=classes, seed=seed)
    accuracy = fit.probe.accuracy
    return Trained(
        build_stage_probe(setup.net, setup.anatomy.head, fit),
        {
            "taps": list(fit.taps),
            "features": fit.probe.weight.shape[1],
            "strength": fit.probe.cv.strength,
            "cross_validated_accuracy": accuracy.value,
            "standard_error": accuracy.error,
        },
    )


PROBE_FITTERS: Mapping[str, Callable[[Setup], Trained]] = {
    "linear_probe": _fit_head,
    "stage_probe": _fit_stages,
}
"""By the `fitter` of a strategy; strategies with another one train by gradient."""
