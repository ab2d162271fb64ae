"""After early stopping: training again, or further, with the validation images as well.

Source: Goodfellow et al. 2016, Deep Learning, section 7.8, algorithms 7.2 and 7.3.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from torch import nn

import zoo
from finetune.config import FinetuneSettings
from finetune.data.dataset import loader
from finetune.data.subset import join
from finetune.engine.build import build_trainer
from finetune.engine.state import TrainState
from finetune.engine.trainer import Trainer
from finetune.experiment.setup import Setup
from finetune.fit.callbacks import train
from finetune.optim.schedules import SCHEDULES, Schedule, build_plateau
from finetune.records.files import read_weights, write_weights
from finetune.records.metrics_log import EpochRecord, read_records
from finetune.records.plan import Plan
from finetune.records.run_folder import DraftFolder, RunFolder
from finetune.records.training import RefitTraining
from finetune.regularization.resizing import Resizing
from finetune.runtime.console import details
from finetune.tasks.evaluate import evaluate
from zoo.errors import GraftError

MIN_RATE = 0.1
"""Training continues at the rate of the best step, but at least at this share of the highest rate: schedules
end near 0, where nothing more is learned."""


@dataclass(frozen=True)
class DampedSchedule(Schedule):
    """A schedule whose rates are multiplied by one factor per epoch; the last applies to all later ones."""

    factors: tuple[float, ...] = (1.0,)

    def rate(self, step: int) -> float:
        """Return the rate factor of step `step`, from 0."""
        epoch = min(step // self.steps_per_epoch, len(self.factors) - 1)
        return super().rate(step) * self.factors[epoch]


@dataclass(frozen=True)
class Refit(Trainer):
    """Training on all images, without a choice of epoch: the last weights are the result.

    It ends after `max_steps`, or once the loss on the validation images is down to `target_loss`.
    """

    target_loss: float | None = None

    def finished(self) -> bool:
        """Whether the steps are done, the epochs are over, or the target is reached."""
        state = self.state
        over = state.step >= self.max_steps or state.epoch >= self.plan.epochs
        return over or (self.target_loss is not None and state.best_loss <= self.target_loss)

    def close_epoch(self, images_per_s: float) -> None:
        """Validate if there is a target, write the weights, and finish the epoch."""
        state = self.state
        record = EpochRecord(
            epoch=state.epoch + 1,
            step=state.step,
            train_loss=state.loss / state.images,
            learning_rate=self.plan.learning_rate * self.step.schedule.rate(state.step - 1),
            images_per_s=round(images_per_s, 1),
        )
        message = f"  epoch {record.epoch:>3} on all images  train loss {record.train_loss:.3f}"
        if self.target_loss is not None:
            score, loss = self.validate()
            state.best_epoch, state.best_loss = state.epoch, loss
            record, message = (
                replace(record, val_loss=loss, val_score=score),
                f"{message}  val loss {loss:.3f}",
            )
        write_weights(self.folder.weights, self.step.eval_net)
        self.finish_epoch(record, message)


def train_and_refit(
    setup: Setup, plan: Plan, folder: RunFolder, console: Console
) -> tuple[nn.Module, RefitTraining]:
    """Train with early stopping, then do what `after_stopping` says. Out: the network and its record.

    The second phase has a folder of its own, `refit/`, with its own log and checkpoint.
    Raises: GraftError when there are no test images to evaluate the result on.
    """
    method = setup.settings.after_stopping
    assert method != "keep"
    if not len(setup.test):
        raise GraftError(
            f"finetune.after_stopping: {method} trains on the validation images, and data.test is 0, "
            "which leaves no images to evaluate on\n  expected: a test split, or after_stopping: keep"
        )
    plain = copy.deepcopy(setup.net)
    draft, refit = DraftFolder(folder.path), RunFolder(folder.path / "refit")
    for path in (draft.members, refit.path):
        path.mkdir(parents=True, exist_ok=True)
    trainer = build_trainer(setup, plan, draft, console)
    state = train(trainer)
    checked = zoo.override(setup.spec, {"finetune.checks": "none", "finetune.monitor": "none"})
    again = replace(setup, spec=checked, net=plain, train=join(setup.train, setup.val))
    if method == "retrain":
        trainer = retrain(again, trainer, refit)
    else:
        trainer = continue_training(again, trainer, refit, train_loss(trainer))
    ended = train(trainer)
    epochs = ended.epoch - (state.best_epoch + 1) * (method == "continue")
    record = RefitTraining(method, state.summary(), ended.step, epochs)
    if trainer.target_loss is not None:
        record = replace(record, target_loss=trainer.target_loss, val_loss=ended.best_loss)
    return plain, record


def retrain(again: Setup, first: Trainer, folder: RunFolder) -> Refit:
    """Algorithm 7.2: train from the start for the number of steps after which validation was best.

    Each step has the learning rate that it had in the first training.
    """
    schedule = first.step.schedule
    steps = (first.state.best_epoch + 1) * schedule.steps_per_epoch
    factors = plateau_factors(again.settings, val_scores(first))
    details(first.console).print(
        f"  training from the start for {steps} steps, on training and validation images"
    )
    damped = DampedSchedule(**vars(schedule), factors=factors)
    return replace(build_refit(again, first, folder, damped, first.step.resizing), max_steps=steps)


def continue_training(again: Setup, first: Trainer, folder: RunFolder, target_loss: float) -> Refit:
    """Algorithm 7.3: train from the best weights until the validation loss is down to the training loss.

    This may never happen, so there are at most as many epochs as in the plan. The rate is constant.
    """
    schedule, state = first.step.schedule, first.state
    best = (state.best_epoch + 1) * schedule.steps_per_epoch - 1
    damping = plateau_factors(again.settings, val_scores(first))[state.best_epoch]
    rate = max(schedule.rate(best) * damping, MIN_RATE)
    constant = Schedule(SCHEDULES.read_call("constant"), schedule.steps, schedule.steps_per_epoch)
    trainer = build_refit(again, first, folder, DampedSchedule(**vars(constant), factors=(rate,)), None)
    for net in (again.net, trainer.step.eval_net):
        read_weights(first.folder.weights, net)
    trainer.state.epoch = state.best_epoch + 1
    trainer.state.best_epoch, trainer.state.best_loss = state.best_epoch, state.best_loss
    if not folder.weights.exists():
        write_weights(folder.weights, again.net)
    details(first.console).print(
        f"  training further with the validation images until their loss, {state.best_loss:.3f}, "
        f"is down to the training loss, {target_loss:.3f}"
    )
    plan = replace(trainer.plan, epochs=trainer.plan.epochs + trainer.state.epoch)
    return replace(trainer, plan=plan, target_loss=target_loss)


def build_refit(
    again: Setup, first: Trainer, folder: RunFolder, schedule: Schedule, resizing: Resizing | None
) -> Refit:
    """Return the trainer of the second phase: as the first one, with other rates and image sizes."""
    trainer = build_trainer(again, first.plan, folder, first.console)
    trainer.state.plateau = None
    step = replace(trainer.step, schedule=schedule, resizing=resizing)
    return Refit(**vars(trainer) | {"step": step})


def plateau_factors(settings: FinetuneSettings, scores: Sequence[float]) -> tuple[float, ...]:
    """Return by what a plateau schedule multiplied the rate in each epoch, given the validation scores."""
    state, factors = TrainState(plateau=build_plateau(settings.schedule)), []
    for score in scores:
        factors.append(state.damping)
        state.observe(score, 0.0)
    return tuple(factors)


def val_scores(trainer: Trainer) -> list[float]:
    """Return the validation score of each epoch."""
    scores = (record.val_score for record in read_records(trainer.folder.log))
    return [score for score in scores if score is not None]


def train_loss(trainer: Trainer) -> float:
    """Return the loss of the best weights on the training images, without augmentation or regularization."""
    setup, net = trainer.setup, trainer.step.eval_net
    read_weights(trainer.folder.weights, net)
    net.eval()
    plain = replace(setup.train, augment=None)
    batches = loader(plain, trainer.plan.batch_size * 2, workers=setup.data.workers)
    device = trainer.accelerator.device
    return evaluate(trainer.step.predict, batches, setup.task, setup.classes, device).loss
