"""One short training on a fold: what a strategy then answers on the images that were left out."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

import zoo
from finetune.data.dataset import loader
from finetune.data.subset import subset
from finetune.engine.build import build_trainer
from finetune.engine.callbacks import DivergedError, DivergenceGuard
from finetune.engine.trainer import Trainer
from finetune.experiment.setup import Setup
from finetune.experiment.start import prepare_start
from finetune.probes.folds import Fold
from finetune.probes.head import fit_head
from finetune.records.estimate import Hits
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder

QUIET = Console(quiet=True, force_terminal=False)
ALONE: dict[str, object] = {
    "finetune.checks": "none",
    "finetune.monitor": "none",
    "finetune.patience": "none",
    "finetune.ensemble": "none",
    "finetune.after_stopping": "keep",
}
"""What a run does beside or after its training has no part in a race."""


def fold_hits(setup: Setup, plan: Plan, fold: Fold) -> Hits:
    """Train as the plan says on the fold's images, and ask for the others.

    Out: (N,) for the N training images: 1 where the answer was right, 0 where not, NaN where not asked. A
    training whose loss runs away has none right. The setup keeps its network. A head that is to start from a
    probe starts as it is where the fold has one image a class, of which no probe can be fitted.
    """
    learned, left = fold
    hits = np.full(len(setup.train), np.nan)
    started = prepare_start(setup, plan)
    own = replace(
        started,
        spec=zoo.override(started.spec, ALONE),
        net=copy.deepcopy(started.net),
        train=subset(setup.train, learned, seed=setup.settings.seed),
        val=subset(replace(setup.train, augment=None), left, seed=setup.settings.seed),
    )
    if plan.head == "probe" and np.bincount(own.train.split.targets).max() > 1:
        fit_head(own)
    with tempfile.TemporaryDirectory() as place:
        trainer = build_trainer(own, plan, RunFolder(Path(place)), QUIET)
        try:
            replace(trainer, callbacks=[DivergenceGuard(len(setup.classes))], saves=False).run()
            hits[left] = _right(trainer)
        except DivergedError:
            hits[left] = 0.0
    return hits


@torch.inference_mode()
def _right(trainer: Trainer) -> Hits:
    """Which images of the loop's validation split are answered rightly."""
    trainer.step.eval_net.eval()
    answers = [
        (trainer.step.predict(images).argmax(dim=1).cpu() == targets).double()
        for images, targets in loader(trainer.setup.val, trainer.plan.batch_size * 2)
    ]
    right: Hits = torch.cat(answers).numpy()
    return right
