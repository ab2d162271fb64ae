"""Out-of-fold answers: each image is answered by a network that did not learn from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console

from finetune.calibration.calibrate import Answers, answer, reference_features
from finetune.calibration.novelty import fit_distance
from finetune.data.dataset import ImageDataset
from finetune.experiment.setup import Setup
from finetune.fit.execute import execute_plan
from finetune.fit.folds import Folds, deal_folds, fold_setup
from finetune.models.tta import apply_test_time_augmentation
from finetune.records.files import read_tensors, remove, write_tensors
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.runtime.console import details


@dataclass(frozen=True)
class OutOfFold:
    """The images of all folds, which fold each was held out in, and the answers for them, by row."""

    folds: Folds
    answers: Answers

    @property
    def images(self) -> ImageDataset:
        """The images, without augmentation."""
        return self.folds.plain


def answer_out_of_fold(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> OutOfFold | None:
    """Train a network in each fold and return its answers for the others; None where the spec has no folds.

    Each fold's answers are a file in the run's folder. A fold whose file is there is not trained again.
    Raises: GraftError as `deal_folds` and `execute_plan`.
    """
    folds = deal_folds(setup)
    if folds is None:
        return None
    whole = "" if plan.minutes is None else f", about {plan.minutes * (folds.count + 1):.2g} minutes in all"
    console.print(
        f"  {folds.count} folds and then a network of all images: {folds.count + 1} trainings{whole}"
    )
    for fold in range(folds.count):
        path = folder.fold_answers(fold + 1)
        if path.exists():
            continue
        details(console).print(f"fold {fold + 1} of {folds.count}")
        draft = RunFolder(folder.folds / str(fold + 1))
        draft.path.mkdir(parents=True, exist_ok=True)
        own = fold_setup(setup, folds, fold)
        trained = execute_plan(own, plan, draft, console)
        net = apply_test_time_augmentation(trained.net, setup.settings.test_time)
        novelty = fit_distance(reference_features(net, own, trained.training))
        write_tensors(
            path,
            {
                name: torch.from_numpy(one)
                for name, one in vars(answer(net, novelty, own, own.val, trained.training)).items()
            },
        )
        remove(draft.path)
    remove(folder.folds)
    return _read(folds, folder)


def read_out_of_fold(setup: Setup, folder: RunFolder) -> OutOfFold | None:
    """Return the out-of-fold answers of a finished run; None for one without folds."""
    folds = deal_folds(setup)
    return None if folds is None else _read(folds, folder)


def _read(folds: Folds, folder: RunFolder) -> OutOfFold:
    parts = [read_tensors(folder.fold_answers(fold + 1)) for fold in range(folds.count)]
    order = np.argsort(np.concatenate([folds.held_out(fold) for fold in range(folds.count)]))
    joined = {name: torch.cat([part[name] for part in parts]).numpy()[order] for name in parts[0]}
    return OutOfFold(folds, Answers(**joined))
