"""Which weights a training run keeps on its way, for an ensemble to be made of them.

What is kept follows from the steps done and from the log alone. A run that resumes from a checkpoint repeats
the steps after it and keeps the same weights again, under the same names.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from finetune.engine.callbacks import Callback
from finetune.engine.state import TrainState
from finetune.engine.step import Step
from finetune.models.ensemble import Candidate, keep_best
from finetune.records.files import remove, write_weights
from finetune.records.metrics_log import EpochRecord, read_records


class SnapshotKeeper(Callback):
    """Keeps the weights of `step` after each of these numbers of updates."""

    def __init__(self, step: Step, folder: Path, steps: Iterable[int]) -> None:
        self.step = step
        self.steps = {number: folder / f"step-{number:06d}.safetensors" for number in steps}

    @property
    def paths(self) -> list[Path]:
        """The members, in the order of their steps."""
        return [self.steps[step] for step in sorted(self.steps)]

    def on_update_end(self, state: TrainState) -> None:
        """Keep the weights, if this is one of the steps."""
        if state.step in self.steps:
            write_weights(self.steps[state.step], self.step.eval_net)


class BestKeeper(Callback):
    """Keeps the weights of `step` after the `count` epochs with the best validation scores in the log."""

    def __init__(self, step: Step, folder: Path, log: Path, count: int) -> None:
        self.step, self.folder, self.log, self.count = step, folder, log, count

    @property
    def best(self) -> tuple[Candidate, ...]:
        """The best epochs so far, best first."""
        return best_epochs(read_records(self.log), self.count)

    def path(self, epoch: int) -> Path:
        """Return where the weights of that epoch, counted from 0, are kept."""
        return self.folder / f"epoch-{epoch:04d}.safetensors"

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Keep the epoch's weights if they are among the best; delete those that were not before this epoch.

        What this epoch replaced is kept for one more epoch: a run that is killed now needs it again.
        """
        records, epoch = read_records(self.log), record.epoch - 1
        best = {one.epoch for one in best_epochs(records, self.count)}
        before = {one.epoch for one in best_epochs(records[:-1], self.count)}
        if epoch in best:
            write_weights(self.path(epoch), self.step.eval_net)
        needed = {self.path(each) for each in best | before}
        for path in self.folder.glob("epoch-*.safetensors"):
            if path not in needed:
                remove(path)


def best_epochs(records: Iterable[EpochRecord], count: int) -> tuple[Candidate, ...]:
    """Return the `count` epochs with the highest validation scores, best first; of equals the earlier."""
    kept: tuple[Candidate, ...] = ()
    for record in records:
        assert record.val_score is not None, "epochs are validated where the best are kept"
        kept = keep_best(kept, Candidate(record.epoch - 1, record.val_score), count)
    return kept
