"""What is measured in each epoch beside the validation: one update, and a pass over some training images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from finetune.config.finetune import MonitorSettings
from finetune.data.subset import read_rows, spread_rows
from finetune.engine.callbacks import Callback
from finetune.engine.dead_units import count_dead, dead_shares
from finetune.engine.state import TrainState
from finetune.engine.step import Step
from finetune.experiment.setup import Setup
from finetune.monitor.diagnosis import flag_dead, flag_updates
from finetune.records.metrics_log import EpochRecord, Measurements
from finetune.runtime.precision import evaluating
from finetune.tasks.evaluate import evaluate

MIN_IMAGES, TRAIN_FRACTION = 64, 8
"""The training score is measured on one image in TRAIN_FRACTION, and on at least MIN_IMAGES."""
DIGITS = 4


class Monitor(Callback):
    """Adds `Measurements` to each epoch's record. It does not change the training."""

    def __init__(self, setup: Setup, step: Step, settings: MonitorSettings) -> None:
        self.setup, self.step = setup, step
        images = len(setup.train)
        self.count = min(images, settings.images, max(MIN_IMAGES, images // TRAIN_FRACTION))

    def on_batch_start(self, state: TrainState) -> None:
        """Measure the update in the middle of the epoch."""
        if state.batch == state.batches_per_epoch // 2:
            self.step.gauge.arm()

    def extend_record(self, record: EpochRecord) -> EpochRecord:
        """Measure the network on training images, not augmented and in evaluation mode."""
        task, gauge, net = self.setup.task, self.step.gauge, self.step.eval_net
        device, classes = self.step.accelerator.device, self.setup.classes
        with evaluating(net), count_dead(net) as dead:
            found = evaluate(self.step.predict, self._batches(), task, classes, device)
        shares = dead_shares(dead)
        measured = Measurements(
            train_eval_loss=found.loss,
            train_eval_score=found.score,
            train_images=self.count,
            learning_rates=tuple(sorted({group["lr"] for group in self.step.optimizer.param_groups})),
            gradient_norm=gauge.gradient_norm,
            gradient_norms=_round(gauge.gradient_norms),
            update_ratios=_round(gauge.update_ratios),
            rate_factor=gauge.rate_factor,
            dead_units=_round(shares),
            flags=(*flag_updates(gauge.update_ratios, gauge.rate_factor), *flag_dead(shares)),
        )
        return replace(record, measured=measured)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        rows = spread_rows(self.setup.train.split.strata, self.count, seed=self.setup.settings.seed)
        for chunk in np.split(rows, range(MIN_IMAGES, len(rows), MIN_IMAGES)):
            yield read_rows(self.setup.train, chunk)


def _round(values: Mapping[str, float]) -> dict[str, float]:
    """Round to four significant digits, which keeps the log of a network of many layers readable."""
    return {name: float(f"{value:.{DIGITS}g}") for name, value in values.items()}
