"""After early stopping: training again, or going on, with the validation images as well.

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
from finetune.engine.loop import build_loop
from finetune.engine.state import Standing
from finetune.engine.trainer import Loop, describe, train
from finetune.experiment.setup import Setup
from finetune.optim.plateau import build_plateau
from finetune.optim.schedules import SCHEDULES, Schedule
from finetune.records.metrics_log import Line, append_line, read_lines
from finetune.records.plan import Plan
from finetune.records.run_folder import DraftFolder, RunFolder, read_weights, write_weights
from finetune.regularization.resizing import Resizing
from finetune.tasks.evaluate import evaluate
from zoo.errors import GraftError

LOWEST_RATE = 0.1
"""Going on happens at the rate of the best step, but at no less than this share of the highest: schedules end
near 0, where nothing more would be learnt."""


@dataclass(frozen=True)
class DampedSchedule(Schedule):
    """A schedule whose rates are multiplied by a factor for each epoch; the last one holds for the rest."""

    factors: tuple[float, ...] = (1.0,)

    def rate(self, step: int) -> float:
        """The factor for step `step`, from 0."""
        epoch = min(step // self.steps_per_epoch, len(self.factors) - 1)
        return super().rate(step) * self.factors[epoch]


@dataclass(frozen=True)
class Refit(Loop):
    """Training on all images, without choosing among epochs: the last weights are the result.

    It ends after `max_steps`, or once the loss on the validation images is down to `target_loss`.
    """

    target_loss: float | None = None

    def finished(self) -> bool:
        """Whether the steps are done, the epochs are over, or the target is reached."""
        standing = self.standing
        over = standing.step >= self.max_steps or standing.epoch >= self.plan.epochs
        return over or (self.target_loss is not None and standing.best_loss <= self.target_loss)

    def close_epoch(self, images_per_s: float) -> None:
        """Write weights, the line of numbers and the checkpoint; validate where a target is to be reached."""
        standing, name = self.standing, self.setup.task.score
        line: Line = {
            "epoch": standing.epoch + 1,
            "step": standing.step,
            "train_loss": standing.loss / standing.images,
            "learning_rate": self.plan.learning_rate * self.step.rate(standing.step - 1),
            "images_per_s": round(images_per_s, 1),
        }
        if self.target_loss is not None:
            metrics = self.validate()
            standing.best_epoch, standing.best_loss = standing.epoch, float(metrics["loss"])  # type: ignore[arg-type]
            line |= {"val_loss": standing.best_loss, f"val_{name}": metrics[name]}
        append_line(self.folder.log, line)
        self.track(line)
        losses = [
            f"{key.replace('_', ' ')} {line[key]:.3f}" for key in ("train_loss", "val_loss") if key in line
        ]
        self.console.print(f"  epoch {standing.epoch + 1:>3} on all images  {'  '.join(losses)}")
        write_weights(self.folder.weights, self.step.averaged())
        self.close_standing()


def train_again(
    setup: Setup, plan: Plan, folder: RunFolder, console: Console
) -> tuple[nn.Module, dict[str, object]]:
    """Train with early stopping, then do what `after_stopping` says. Out: the network, and how it went.

    The second phase has a folder of its own, `refit/`, with its own log and checkpoint.
    Raises: GraftError when no images would be left to measure the result on.
    """
    how = setup.settings.after_stopping
    if not len(setup.test):
        raise GraftError(
            f"finetune.after_stopping: {how} learns from the validation images, and data.test is 0, "
            "which leaves none to measure on\n  expected: images to test on, or after_stopping: keep"
        )
    plain = copy.deepcopy(setup.net)
    draft, refit = DraftFolder(folder.path), RunFolder(folder.path / "refit")
    for path in (draft.members, refit.path):
        path.mkdir(parents=True, exist_ok=True)
    loop = build_loop(setup, plan, draft, console)
    standing = train(loop)
    checked = zoo.override(setup.spec, {"finetune.checks": "none"})
    again = replace(setup, spec=checked, net=plain, train=join(setup.train, setup.val))
    if how == "retrain":
        loop = retrain(again, loop, refit)
    else:
        loop = go_on(again, loop, refit, loss_on_training(loop))
    ended = train(loop)
    went = {"steps": ended.step, "epochs": ended.epoch - (standing.best_epoch + 1) * (how == "continue")}
    target = (
        {} if loop.target_loss is None else {"target_loss": loop.target_loss, "val_loss": ended.best_loss}
    )
    return plain, describe(standing) | {how: went | target}


def retrain(again: Setup, first: Loop, folder: RunFolder) -> Refit:
    """Algorithm 7.2: from the start, for the number of steps after which validation was best.

    Each step has the learning rate that it had the first time.
    """
    schedule = first.step.schedule
    steps = (first.standing.best_epoch + 1) * schedule.steps_per_epoch
    scores = [line[f"val_{again.task.score}"] for line in read_lines(first.folder.log)]
    factors = dampings(again.settings, scores)  # type: ignore[arg-type]
    first.console.print(f"  again from the start for {steps} steps, on training and validation images")
    damped = DampedSchedule(**vars(schedule), factors=factors)
    return replace(build_refit(again, first, folder, damped, first.step.resizing), max_steps=steps)


def go_on(again: Setup, first: Loop, folder: RunFolder, target_loss: float) -> Refit:
    """Algorithm 7.3: from the best weights, until the validation loss is down to the training loss there.

    The algorithm need not end; it gets as many epochs as the plan has. The rate is constant.
    """
    schedule, standing = first.step.schedule, first.standing
    best = (standing.best_epoch + 1) * schedule.steps_per_epoch - 1
    scores = [line[f"val_{again.task.score}"] for line in read_lines(first.folder.log)]
    damping = dampings(again.settings, scores)[standing.best_epoch]  # type: ignore[arg-type]
    rate = max(schedule.rate(best) * damping, LOWEST_RATE)
    constant = Schedule(SCHEDULES.read_call("constant"), schedule.steps, schedule.steps_per_epoch)
    loop = build_refit(again, first, folder, DampedSchedule(**vars(constant), factors=(rate,)), None)
    for net in (again.net, loop.step.averaged()):
        read_weights(first.folder.weights, net)
    loop.standing.epoch = standing.best_epoch + 1
    loop.standing.best_epoch, loop.standing.best_loss = standing.best_epoch, standing.best_loss
    if not folder.weights.exists():
        write_weights(folder.weights, again.net)
    first.console.print(
        f"  goes on with the validation images until their loss, {standing.best_loss:.3f}, "
        f"is down to that of training, {target_loss:.3f}"
    )
    plan = replace(loop.plan, epochs=loop.plan.epochs + loop.standing.epoch)
    return replace(loop, plan=plan, target_loss=target_loss)


def build_refit(
    again: Setup, first: Loop, folder: RunFolder, schedule: Schedule, resizing: Resizing | None
) -> Refit:
    """The second phase's loop: all as in the first one, but for rates and sizes; it has no end yet."""
    loop = build_loop(again, first.plan, folder, first.console)
    loop.standing.plateau = None
    step = replace(loop.step, schedule=schedule, resizing=resizing)
    return Refit(**vars(loop) | {"step": step, "watch": first.watch, "monitor": None})


def dampings(settings: FinetuneSettings, scores: Sequence[float]) -> tuple[float, ...]:
    """What a plateau multiplied the rate by in each epoch, told from the epochs' validation scores."""
    standing, factors = Standing(plateau=build_plateau(settings.schedule)), []
    for score in scores:
        factors.append(standing.damping)
        standing.observe(score, 0.0)
    return tuple(factors)


def loss_on_training(loop: Loop) -> float:
    """The loss of the kept weights on the training images, as they are: not augmented, not regularised."""
    setup, net = loop.setup, loop.step.averaged()
    read_weights(loop.folder.weights, net)
    net.eval()
    plain = replace(setup.train, augment=None)
    batches = loader(plain, loop.plan.batch_size * 2, workers=setup.data.workers)
    metrics = evaluate(loop.step.predict, batches, setup.task, len(setup.classes), loop.accelerator.device)
    return float(metrics["loss"])  # type: ignore[arg-type]
