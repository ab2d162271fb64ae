"""The training loop: epochs, validation, the best weights, a checkpoint after each epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader

from finetune.data.dataset import EpochDataset, ImageDataset, equal_chances, loader
from finetune.engine.callbacks import Callback
from finetune.engine.checkpoint import Checkpoint, Stateful
from finetune.engine.state import TrainState
from finetune.engine.step import BatchPosition, Step
from finetune.experiment.setup import Setup
from finetune.optim.freeze import set_training
from finetune.records.files import read_weights, write_weights
from finetune.records.metrics_log import EpochRecord, append_record, cut_log
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.runtime.console import details
from finetune.tasks.evaluate import evaluate

CHECKPOINT_EVERY_S = 300.0


@dataclass(frozen=True)
class Trainer:
    """One training run, all parts of it on their device.

    `train` and `val` are the setup's images, or the cached outputs of its frozen stages. Without `saves` the
    run is a trial: it writes the log, but neither weights nor checkpoints, and it never resumes.
    """

    setup: Setup
    plan: Plan
    folder: RunFolder
    console: Console
    accelerator: Accelerator
    step: Step
    state: TrainState
    train: EpochDataset
    val: EpochDataset
    callbacks: Sequence[Callback] = ()
    saves: bool = True
    max_steps: float = math.inf

    def run(self) -> TrainState:
        """Train until finished, starting from the folder's checkpoint if there is one.

        Afterwards the setup's network has the best weights of the run, unless the run is a trial.
        """
        resumed = self.saves and self.checkpoint.load()
        cut_log(self.folder.log, self.state.epoch)
        if resumed and not self.finished():
            self.console.print(f"Training continues in epoch {self.state.epoch + 1}")
        try:
            for callback in self.callbacks:
                callback.on_train_start(self.state, resumed=resumed)
            while not self.finished():
                self._train_epoch()
            for callback in self.callbacks:
                callback.on_train_end()
        finally:
            for callback in self.callbacks:
                callback.close()
        if self.saves:
            read_weights(self.folder.weights, self.setup.net)
        return self.state

    @property
    def checkpoint(self) -> Checkpoint:
        """The states that this training saves, and continues from."""
        step = self.step
        remembering = [callback for callback in self.callbacks if callback.state_dict()]
        parts: dict[str, Stateful] = {
            "net": self.accelerator.unwrap_model(step.net),
            "optimizer": step.optimizer,
        }
        parts |= {"progress": self.state, "gauge": step.gauge}
        parts |= {} if step.ema is None else {"average": step.ema}
        parts |= {f"callback {number}": callback for number, callback in enumerate(remembering)}
        return Checkpoint(self.folder.checkpoint, parts)

    def finished(self) -> bool:
        """Return whether all epochs are done, or validation has stalled for `patience` epochs."""
        state, patience, resizing = self.state, self.setup.settings.patience, self.step.resizing
        if state.epoch >= self.plan.epochs or patience == "none":
            return state.epoch >= self.plan.epochs
        # Before images reach their full size, validation is of another size than training.
        full_size = resizing is None or resizing.full(state.step)
        return full_size and state.stalled(patience)

    def validate(self) -> tuple[float, float]:
        """Return the task's score and the loss on the validation split."""
        self.step.eval_net.eval()
        batches = loader(self.val, self.plan.batch_size * 2, workers=self._workers(self.val))
        task, classes = self.setup.task, self.setup.classes
        found = evaluate(self.step.predict, batches, task, classes, self.accelerator.device)
        return found.score, found.loss

    def close_epoch(self, images_per_s: float) -> None:
        """Validate, write the weights if they are the best, and finish the epoch."""
        state = self.state
        learning_rate = self.plan.learning_rate * self.step.schedule.rate(state.step - 1) * state.damping
        score, loss = self.validate()
        best = state.observe(score, loss)
        if best and self.saves:
            write_weights(self.folder.weights, self.step.eval_net)
        record = EpochRecord(
            epoch=state.epoch + 1,
            step=state.step,
            train_loss=state.loss / state.images,
            learning_rate=learning_rate,
            images_per_s=round(images_per_s, 1),
            val_loss=loss,
            val_score=score,
            best=best,
        )
        self.finish_epoch(
            record,
            f"  epoch {record.epoch:>3}  train loss {record.train_loss:.3f}  val loss {loss:.3f}  "
            f"val {self.setup.task.score} {score:.4f}  {images_per_s:.0f} images/s"
            + ("  [green]best[/green]" if best else ""),
        )

    def finish_epoch(self, record: EpochRecord, message: str) -> None:
        """Write the record, call the callbacks, and save the checkpoint from which a killed run resumes."""
        for callback in self.callbacks:
            record = callback.extend_record(record)
        append_record(self.folder.log, record)
        details(self.console).print(message)
        for callback in self.callbacks:
            callback.on_epoch_end(record)
        self.state.next_epoch()
        if self.saves:
            self.save(f"epoch-{self.state.epoch:04d}")

    def save(self, name: str) -> None:
        """Save the state of the training under that name; one process does."""
        if self.accelerator.is_main_process:
            self.checkpoint.save(name)
        self.accelerator.wait_for_everyone()

    def _train_epoch(self) -> None:
        state, start_s = self.state, time.monotonic()
        saved_s, images_before = start_s, state.images
        set_training(self.step.net)
        batches = self._batches()
        for rows, (images, targets) in zip(batches.batch_sampler or (), batches, strict=True):
            updated = self._train_batch(images, targets, rows)
            if self.saves and updated and time.monotonic() - saved_s > CHECKPOINT_EVERY_S:
                self.save(f"step-{state.step:06d}")
                saved_s = time.monotonic()
            if state.step >= self.max_steps:
                break
        self.close_epoch((state.images - images_before) / (time.monotonic() - start_s))

    def _train_batch(self, images: Tensor, targets: Tensor, rows: Sequence[int]) -> bool:
        """Train on one batch. Return whether the weights were updated."""
        state = self.state
        for callback in self.callbacks:
            callback.on_batch_start(state)
        mean_loss, updated = self.step(images, targets, self._position(rows), state.damping)
        loss = float(mean_loss)
        state.count_batch(len(images), loss, updated=updated)
        for callback in self.callbacks:
            callback.on_batch_end(state, loss)
        if updated:
            for callback in self.callbacks:
                callback.on_update_end(state)
        return updated

    def _batches(self) -> DataLoader[Any]:
        setup = self.setup
        return loader(
            self.train,
            self.plan.batch_size,
            shuffle_seed=setup.settings.seed,
            epoch=self.state.epoch,
            workers=self._workers(self.train),
            start_batch=self.state.batch,
            chances=equal_chances(setup.train.split.strata) if setup.settings.balance == "sampling" else None,
        )

    def _workers(self, dataset: EpochDataset) -> int:
        """Return the number of processes that load images; cached outputs are in memory and need none."""
        return self.setup.data.workers if isinstance(dataset, ImageDataset) else 0

    def _position(self, rows: Sequence[int]) -> BatchPosition:
        """Return the position of the next batch in the run."""
        state, accumulate = self.state, self.setup.settings.accumulate
        first = state.batch // accumulate * accumulate
        last = state.batch + 1 == state.batches_per_epoch
        group_size = min(accumulate, state.batches_per_epoch - first)
        return BatchPosition(state.epoch, state.batch, state.step, last, group_size, rows)
