"""The one training loop: epochs, validation, the best weights kept, a checkpoint after each."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

from accelerate import Accelerator
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader

from finetune.checks.breakdown import breakdown
from finetune.data.dataset import EpochDataset, ImageDataset, loader
from finetune.engine.callbacks import Watch
from finetune.engine.checkpoint import load_checkpoint, save_checkpoint
from finetune.engine.state import Standing
from finetune.engine.step import Place, Step
from finetune.engine.trackers import Track, ignore
from finetune.experiment.setup import Setup
from finetune.fit.keepers import Keeper
from finetune.monitor.measure import Monitor
from finetune.monitor.opening import observed
from finetune.optim.freeze import set_training
from finetune.records.metrics_log import Line, append_line, cut_log
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder, read_weights, write_weights
from finetune.runtime.divergence import Divergence
from finetune.runtime.progress import Advance, show_progress
from finetune.tasks.base import chance_loss
from finetune.tasks.evaluate import evaluate

CHECKPOINT_EVERY_S = 300.0


@dataclass(frozen=True)
class Loop:
    """One training run in progress, all parts of it on their device.

    Without `keeps` the run is tried out, and no more: neither weights nor checkpoints are written, and what
    becomes of it when the loss runs away is for the `watch` to say. `train` and `val` are the setup's images,
    or what the frozen lower part of the network makes of them.
    """

    setup: Setup
    plan: Plan
    folder: RunFolder
    console: Console
    accelerator: Accelerator
    net: nn.Module
    step: Step
    standing: Standing
    train: EpochDataset
    val: EpochDataset
    watch: Watch = field(default_factory=Watch)
    keeper: Keeper = field(default_factory=Keeper)
    keeps: bool = True
    max_steps: float = math.inf
    monitor: Monitor | None = None
    track: Track = ignore

    def run(self) -> Standing:
        """Train until it is finished."""
        standing = self.standing
        batches = len(self._loader(0, 0))
        total, done = batches * self.plan.epochs, batches * standing.epoch + standing.batch
        with show_progress(self.console, total, done) as advance:
            while not self.finished():
                self._train_epoch(batches, advance)
        return standing

    def finished(self) -> bool:
        """Whether the plan is at its end, or validation has stalled for `patience` epochs."""
        standing, patience, resizing = self.standing, self.setup.settings.patience, self.step.resizing
        if standing.epoch >= self.plan.epochs or patience == "none":
            return standing.epoch >= self.plan.epochs
        grown = resizing is None or resizing.full(standing.step)  # before, validation is of another size
        return grown and standing.stalled(patience)

    def _loader(self, epoch: int, start_batch: int) -> DataLoader[Any]:
        return loader(
            self.train,
            self.plan.batch_size,
            shuffle_seed=self.setup.settings.seed,
            epoch=epoch,
            workers=self._workers(self.train),
            start_batch=start_batch,
        )

    def _workers(self, dataset: EpochDataset) -> int:
        """Images are loaded by so many processes; what lies in memory as it is wanted, by the main one."""
        return self.setup.data.workers if isinstance(dataset, ImageDataset) else 0

    def _train_epoch(self, batches: int, advance: Advance) -> None:
        standing, start = self.standing, time.monotonic()
        saved, before = start, standing.images
        guard = Divergence(chance_loss(len(self.setup.classes)))
        set_training(self.net)
        for images, targets in self._loader(standing.epoch, standing.batch):
            if self.monitor is not None and self.keeps and standing.batch == batches // 2:
                self.step.gauge.arm()
            place = self._place(batches)
            loss, updated = self.step(images, targets, place, standing.damping)
            standing.batch += 1
            standing.step += updated
            standing.images += len(images)
            cost = float(loss)
            self.watch.after_step(cost)
            if updated:
                self.keeper.after_update(standing.step, self.step.averaged())
            if self.keeps:
                self._check(guard.observe(cost))
            standing.loss += cost * len(images)
            now = time.monotonic()
            advance(
                f"epoch {standing.epoch + 1}/{self.plan.epochs}  loss {standing.loss / standing.images:.3f}  "
                f"{(standing.images - before) / (now - start):.0f} images/s"
            )
            if self.keeps and updated and now - saved > CHECKPOINT_EVERY_S:
                save_checkpoint(self.accelerator, self.folder.checkpoint, f"step-{standing.step:06d}")
                saved = now
            if standing.step >= self.max_steps:
                break
        self.close_epoch((standing.images - before) / (time.monotonic() - start))

    def _place(self, batches: int) -> Place:
        """Where the next batch stands, of so many in the epoch."""
        standing, accumulate = self.standing, self.setup.settings.accumulate
        first = standing.batch // accumulate * accumulate
        last, group = standing.batch + 1 == batches, min(accumulate, batches - first)
        return Place(standing.epoch, standing.batch, standing.step, last, group)

    def _check(self, trouble: str | None) -> None:
        """Raises: GraftError with a rate to try, when the loss ran away."""
        if trouble is not None:
            where = f"epoch {self.standing.epoch + 1}, step {self.standing.step}"
            raise breakdown(self.setup, self.plan, self.accelerator.device, where, trouble)

    def close_epoch(self, images_per_s: float) -> None:
        """Validate, keep the weights if they are the best, write the line of numbers and the checkpoint."""
        standing, name = self.standing, self.setup.task.score
        metrics = self.validate()
        score, loss = float(metrics[name]), float(metrics["loss"])  # type: ignore[arg-type]
        damping, best = standing.damping, standing.observe(score, loss)
        if best and self.keeps:
            write_weights(self.folder.weights, self.step.averaged())
        line: Line = {
            "epoch": standing.epoch + 1,
            "step": standing.step,
            "train_loss": standing.loss / standing.images,
            "val_loss": loss,
            f"val_{name}": score,
            "learning_rate": self.plan.learning_rate * self.step.rate(standing.step - 1) * damping,
            "best": best,
            "images_per_s": round(images_per_s, 1),
        }
        if self.monitor is not None and self.keeps:
            line |= self.monitor.measure()
        append_line(self.folder.log, line)
        self.track(line)
        self.console.print(
            f"  epoch {standing.epoch + 1:>3}  train loss {line['train_loss']:.3f}  val loss {loss:.3f}  "
            f"val {name} {score:.4f}  {images_per_s:.0f} images/s"
            + ("  [green]best[/green]" if best else ""),
        )
        self.keeper.after_epoch(standing.epoch, self.step.averaged())
        self.close_standing()
        self.watch.after_epoch(standing.epoch - 1, score, loss)

    def close_standing(self) -> None:
        """Count the epoch, and let a run that is broken off go on from here."""
        self.standing.next_epoch()
        if self.keeps:
            name = f"epoch-{self.standing.epoch:04d}"
            save_checkpoint(self.accelerator, self.folder.checkpoint, name)

    def validate(self) -> dict[str, object]:
        """Every metric on the validation split."""
        self.step.averaged().eval()
        batches = loader(self.val, self.plan.batch_size * 2, workers=self._workers(self.val))
        return evaluate(
            self.step.predict, batches, self.setup.task, len(self.setup.classes), self.accelerator.device
        )


def train(loop: Loop) -> Standing:
    """Run the loop, going on from a checkpoint if its folder holds one.

    Afterwards the setup's network carries the best weights of the run, which also stand in the folder.
    """
    resumed = load_checkpoint(loop.accelerator, loop.folder.checkpoint)
    cut_log(loop.folder.log, loop.standing.epoch)
    if resumed and not loop.finished():
        loop.console.print(f"  goes on in epoch {loop.standing.epoch + 1}")
    with observed(loop, resumed=resumed) as track:
        standing = replace(loop, track=track).run()
    read_weights(loop.folder.weights, loop.setup.net)
    return standing


def describe(standing: Standing) -> dict[str, object]:
    """How training went, for the report."""
    return {"epochs": standing.epoch, "best_epoch": standing.best_epoch + 1, "steps": standing.step}
