"""Which weights a training run lays aside on its way, for an ensemble to be made of them.

What is kept follows from the steps done and from the log alone. A run that was broken off and goes on from
a checkpoint does the steps after it again and lays the same weights aside again, under the same names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import nn

from finetune.models.ensemble import Candidate, keep_best
from finetune.records.metrics_log import read_lines
from finetune.records.run_folder import write_weights


class Keeper:
    """What the training loop tells of its weights, always before the next checkpoint. This one keeps none."""

    def after_update(self, step: int, net: nn.Module) -> None:
        """`step` updates of the run are done."""

    def after_epoch(self, epoch: int, net: nn.Module) -> None:
        """Epoch `epoch`, from 0, has been validated, and its line stands in the log."""


class SnapshotKeeper(Keeper):
    """Keeps the weights as they are when so many steps are done."""

    def __init__(self, folder: Path, steps: Iterable[int]) -> None:
        self.steps = {step: folder / f"step-{step:06d}.safetensors" for step in steps}

    @property
    def paths(self) -> list[Path]:
        """The members, in the order of their steps."""
        return [self.steps[step] for step in sorted(self.steps)]

    def after_update(self, step: int, net: nn.Module) -> None:
        """Keep the weights, if this is one of the steps."""
        if step in self.steps:
            write_weights(self.steps[step], net)


class BestKeeper(Keeper):
    """Keeps the weights of the `count` epochs whose `metric` in the log is highest."""

    def __init__(self, folder: Path, log: Path, metric: str, count: int) -> None:
        self.folder, self.log, self.metric, self.count = folder, log, metric, count

    @property
    def best(self) -> tuple[Candidate, ...]:
        """The best epochs so far, best first."""
        return best_epochs(read_lines(self.log), self.metric, self.count)

    def path(self, epoch: int) -> Path:
        """Where the weights of that epoch lie, from 0."""
        return self.folder / f"epoch-{epoch:04d}.safetensors"

    def after_epoch(self, epoch: int, net: nn.Module) -> None:
        """Keep the epoch's weights if they are among the best; drop what was not even before this epoch.

        What this epoch pushed out stays for another one: a run that is broken off now does it again.
        """
        lines = read_lines(self.log)
        best = {one.epoch for one in best_epochs(lines, self.metric, self.count)}
        before = {one.epoch for one in best_epochs(lines[:-1], self.metric, self.count)}
        if epoch in best:
            write_weights(self.path(epoch), net)
        wanted = {self.path(each) for each in best | before}
        for path in self.folder.glob("epoch-*.safetensors"):
            if path not in wanted:
                path.unlink()


def best_epochs(lines: Iterable[Mapping[str, object]], metric: str, count: int) -> tuple[Candidate, ...]:
    """The `count` epochs of a log with the highest `metric`, best first; of equals the earlier is better."""
    kept: tuple[Candidate, ...] = ()
    for line in lines:
        epoch, score = line["epoch"], line[metric]
        assert isinstance(epoch, int)
        assert isinstance(score, float)
        kept = keep_best(kept, Candidate(epoch - 1, score), count)
    return kept
