"""The progress of training: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from finetune.engine.callbacks import Callback
from finetune.engine.state import TrainState
from finetune.records.plan import Plan
from finetune.runtime.console import report_progress
from finetune.runtime.console_text import format_minutes

PLAIN_EVERY_S = 10.0


class ProgressBar(Callback):
    """Shows the epoch, the loss, images per second and the time left after each batch.

    Outside a terminal it prints one line every ten seconds at most.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        self.console, self.epochs = console, epochs
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task("training", start=False)
        self.start_s = self.printed_s = time.monotonic()
        self.images_before = 0

    def on_train_start(self, state: TrainState, *, resumed: bool) -> None:
        """Start at the batches that are done."""
        done = state.batches_per_epoch * state.epoch + state.batch
        self.bar.update(self.task, total=state.batches_per_epoch * self.epochs, completed=done)
        self.bar.start_task(self.task)
        self.bar.start()
        self.start_s, self.images_before = time.monotonic(), state.images

    def on_batch_start(self, state: TrainState) -> None:
        """Measure the speed of each epoch anew."""
        if state.batch == 0:
            self.start_s, self.images_before = time.monotonic(), 0

    def on_batch_end(self, state: TrainState, loss: float) -> None:
        """Advance the bar, or print a line."""
        now = time.monotonic()
        speed = (state.images - self.images_before) / (now - self.start_s)
        epoch, loss = state.epoch + 1, state.loss / state.images
        text = f"epoch {epoch}/{self.epochs}  loss {loss:.3f}  {speed:.0f} images/s"
        self.bar.update(self.task, advance=1, description=text)
        if not self.console.is_terminal and now - self.printed_s >= PLAIN_EVERY_S:
            self.printed_s = now
            task = self.bar.tasks[0]
            left = "" if task.time_remaining is None else f"  {format_minutes(task.time_remaining / 60)} left"
            self.console.print(f"  step {task.completed:.0f}/{task.total:.0f}  {text}{left}")

    def close(self) -> None:
        """Remove the bar."""
        self.bar.stop()


class TrialProgress(Callback):
    """Reports how far a short trial of a plan is."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def on_batch_end(self, state: TrainState, loss: float) -> None:
        """Report the batches that are done."""
        done = state.batches_per_epoch * state.epoch + state.batch
        total = state.batches_per_epoch * self.plan.epochs
        report_progress(f"trying {self.plan.strategy} on some of the images", done, total)
