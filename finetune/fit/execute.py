"""Carrying out a plan by the fitter that its strategy names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Console
from torch import nn

from finetune.engine.build import build_trainer
from finetune.experiment.setup import Setup
from finetune.fit.callbacks import train
from finetune.fit.ensembles import train_ensemble
from finetune.fit.folds import train_on_all
from finetune.fit.refit import train_and_refit
from finetune.models.rebuild import rebuild_net
from finetune.models.stage_probe import build_stage_probe
from finetune.probes.classifier import fit_classifier, fit_head, start_head
from finetune.records.calibration import Calibration
from finetune.records.files import write_weights
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.records.training import ProbeTraining, StageProbeTraining, TrainingRecord
from finetune.strategies import find_strategy
from zoo.errors import GraftError


@dataclass(frozen=True)
class Trained:
    """A trained network, the record from which `rebuild` restores it, and what calibrates its answers."""

    net: nn.Module
    training: TrainingRecord
    calibration: Calibration | None = None


Fitter = Callable[[Setup, Plan, RunFolder, Console], Trained]


def execute_plan(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Trained:
    """Train the setup's network as the plan says, and write its weights to the folder.

    Raises: GraftError when the network's head is not linear and has to be, or when training diverges.
    """
    _check_probe(setup, plan)
    start_head(setup, plan)
    trained = FITTERS[find_strategy(plan.strategy).fitter](setup, plan, folder, console)
    write_weights(folder.weights, trained.net)
    return trained


def rebuild(setup: Setup, training: TrainingRecord, folder: RunFolder) -> Trained:
    """Return the trained network that `execute_plan` wrote to the folder."""
    head, classes = setup.anatomy.head, len(setup.classes)
    net = rebuild_net(setup.net, training, folder.weights, head=head, classes=classes)
    return Trained(net, training)


def fit_linear_probe(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Trained:
    """Fit a linear classifier to the input of the head, as the head's weights."""
    probe = fit_head(setup)
    return Trained(setup.net, ProbeTraining(probe.chosen.strength, probe.chosen.accuracy))


def fit_stages(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Trained:
    """Fit a linear classifier to the features of the best combination of stages."""
    fit = fit_classifier(setup, "stage_probe")
    features, chosen = fit.probe.weight.shape[1], fit.probe.chosen
    return Trained(
        build_stage_probe(setup.net, setup.anatomy.head, fit),
        StageProbeTraining(fit.taps, features, chosen.strength, chosen.accuracy),
    )


def train_by_gradient(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Trained:
    """Train the network, an ensemble of it, a second time, or without validation, as the spec says."""
    if setup.settings.folds is not None:
        return Trained(setup.net, train_on_all(setup, plan, folder, console))
    if setup.settings.ensemble is not None:
        return Trained(*train_ensemble(setup, plan, folder, console))
    if setup.settings.after_stopping != "keep":
        return Trained(*train_and_refit(setup, plan, folder, console))
    state = train(build_trainer(setup, plan, folder, console))
    return Trained(setup.net, state.summary())


FITTERS: Mapping[str, Fitter] = {
    "linear_probe": fit_linear_probe,
    "stage_probe": fit_stages,
    "gradient": train_by_gradient,
}
"""The fitters that the declaration of a strategy may name."""


def _check_probe(setup: Setup, plan: Plan) -> None:
    """Raises: GraftError when a linear classifier is to be fitted and the spec asks for more."""
    settings = setup.settings
    requested = {
        "finetune.ensemble": settings.ensemble is not None,
        "finetune.after_stopping": settings.after_stopping != "keep",
    }
    keys = [key for key, value in requested.items() if value]
    if keys and find_strategy(plan.strategy).probe:
        raise GraftError(
            f"{keys[0]} is for training by gradient, and the plan is {plan.strategy}, which fits a linear "
            f"classifier\n  expected: finetune.strategy partial, full or scratch, or a spec without {keys[0]}"
        )
