"""What is measured after each epoch beside the validation: a few passes, and one update looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from finetune.config.monitor import MonitorSettings
from finetune.data.subset import read_rows, spread_rows
from finetune.engine.dead_units import count_dead, dead_shares
from finetune.engine.step import Step
from finetune.experiment.setup import Setup
from finetune.monitor.reading import flag_dead, flag_updates
from finetune.runtime.precision import evaluating
from finetune.tasks.evaluate import evaluate

SHARE = 8
FEWEST = 64
"""The training score is measured on one image in SHARE, and on FEWEST at least, so that it costs little."""
DIGITS = 4


@dataclass(frozen=True)
class Monitor:
    """Measures the network of a run between its epochs, and leaves the run as it is."""

    setup: Setup
    step: Step
    settings: MonitorSettings

    def measure(self) -> dict[str, object]:
        """The numbers that this epoch's line of the log gets from here.

        `train_clean_loss` and the task's score as `train_…`: on training images as they are, in evaluation
        mode, so that they compare with those of validation. Then of one update in the middle of the epoch,
        as `Gauge` reads it: `gradient_norm`, and by layer `gradient_norms` and `update_ratios`; by activation
        `dead_units`; all `learning_rates`; and `flags`, what of this is amiss, in words.
        """
        task, gauge = self.setup.task, self.step.gauge
        net = self.step.averaged()
        with evaluating(net), count_dead(net) as dead:
            metrics = evaluate(
                self.step.predict,
                self._batches(),
                task,
                len(self.setup.classes),
                self.step.accelerator.device,
            )
        return {
            "train_clean_loss": metrics["loss"],
            f"train_{task.score}": metrics[task.score],
            "train_images": self._count,
            "learning_rates": sorted({group["lr"] for group in self.step.optimizer.param_groups}),
            "gradient_norm": gauge.norm,
            "gradient_norms": _rounded(gauge.norms),
            "update_ratios": _rounded(gauge.ratios),
            "rate_factor": gauge.factor,
            "dead_units": _rounded(dead_shares(dead)),
            "flags": [*flag_updates(gauge.ratios, gauge.factor), *flag_dead(dead_shares(dead))],
        }

    @property
    def _count(self) -> int:
        images = len(self.setup.train)
        return min(images, self.settings.images, max(FEWEST, images // SHARE))

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        targets = self.setup.train.split.targets
        rows = spread_rows(targets, self._count, seed=self.setup.settings.seed)
        for chunk in np.split(rows, range(FEWEST, len(rows), FEWEST)):
            yield read_rows(self.setup.train, chunk)


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    """To four digits: a log of many layers is read by people, too."""
    return {name: float(f"{value:.{DIGITS}g}") for name, value in values.items()}
