"""One short run on a fold: what a strategy answers on the held-out images."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import zoo
from finetune.data.dataset import loader
from finetune.data.subset import subset
from finetune.engine.build import build_trainer
from finetune.engine.callbacks import DivergedError, DivergenceGuard
from finetune.engine.progress import TrialProgress
from finetune.engine.trainer import Trainer
from finetune.experiment.setup import Setup
from finetune.experiment.start import prepare_start
from finetune.probes.classifier import fit_head
from finetune.probes.folds import Fold
from finetune.records.estimate import Correct
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.runtime.console import QUIET

ALONE: dict[str, object] = {
    "finetune.checks": "none",
    "finetune.monitor": "none",
    "finetune.patience": "none",
    "finetune.ensemble": "none",
    "finetune.after_stopping": "keep",
}
"""A race leaves out what a run does beside or after its training."""


def train_fold(setup: Setup, plan: Plan, fold: Fold) -> Correct:
    """Train as the plan says on the fold's images, and answer the held-out ones.

    Out: (N,) for the N training images: 1 where the answer was correct, 0 where not, NaN where not asked. A
    training that diverges answers none correctly. The setup's network is not changed. Where the fold has one
    image per class, no probe can be fitted, and the head starts as it is.
    """
    learned, held_out = fold
    correct = np.full(len(setup.train), np.nan)
    started = prepare_start(setup, plan)
    own = replace(
        started,
        spec=zoo.override(started.spec, ALONE),
        net=copy.deepcopy(started.net),
        train=subset(setup.train, learned, seed=setup.settings.seed),
        val=subset(replace(setup.train, augment=None), held_out, seed=setup.settings.seed),
    )
    if plan.head == "probe" and np.bincount(own.train.split.targets).max() > 1:
        fit_head(own)
    with tempfile.TemporaryDirectory() as place:
        trainer = build_trainer(own, plan, RunFolder(Path(place)), QUIET)
        try:
            guard = DivergenceGuard(setup.task.chance_loss(len(setup.classes)))
            replace(trainer, callbacks=[guard, TrialProgress(plan)], saves=False).run()
            correct[held_out] = _predict_correct(trainer)
        except DivergedError:
            correct[held_out] = 0.0
    return correct


@torch.inference_mode()
def _predict_correct(trainer: Trainer) -> Correct:
    """Return which images of the validation split are answered correctly."""
    trainer.step.eval_net.eval()
    answers = [
        trainer.setup.task.correct(trainer.step.predict(images).cpu(), targets)
        for images, targets in loader(trainer.setup.val, trainer.plan.batch_size * 2)
    ]
    correct: Correct = torch.cat(answers).numpy()
    return correct
