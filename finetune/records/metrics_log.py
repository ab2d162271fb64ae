"""metrics.jsonl: one record per epoch, one JSON object per line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from finetune.records.files import write_text
from zoo.errors import GraftError


@dataclass(frozen=True)
class Measurements:
    """What the monitor measures once per epoch.

    `train_eval_loss` and `train_eval_score` are computed on `train_images` training images, not augmented and
    in evaluation mode, so they can be compared with validation. One update in the middle of the epoch gives
    `gradient_norm` (before clipping) and, by layer, `gradient_norms` and `update_ratios`: the length of the
    update of a layer's weights divided by the length of the weights. `rate_factor` is the factor of schedule
    and plateau at that update. `dead_units` is the share of dead units by activation. `flags` names what is
    unusual in these numbers.
    """

    train_eval_loss: float
    train_eval_score: float
    train_images: int
    learning_rates: tuple[float, ...]
    gradient_norm: float
    gradient_norms: Mapping[str, float]
    update_ratios: Mapping[str, float]
    rate_factor: float
    dead_units: Mapping[str, float]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of training, counted from 1; `step` counts the updates of the whole run.

    `val_score` is the task's score on the validation split; it and `val_loss` are None where nothing was
    validated. `best` marks an epoch that was the best so far. `member` is the number of the bagging member.
    Records of equal numbers are equal whatever the speed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    epoch: int
    step: int
    train_loss: float
    learning_rate: float
    images_per_s: float = field(compare=False)
    val_loss: float | None = None
    val_score: float | None = None
    best: bool = False
    member: int | None = None
    measured: Measurements | None = None


RECORD = TypeAdapter(EpochRecord)


def append_record(path: Path, record: EpochRecord) -> None:
    """Add one line to the log."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    write_text(path, before + _to_line(record))


def write_records(path: Path, records: Iterable[EpochRecord]) -> None:
    """Write a log anew."""
    write_text(path, "".join(_to_line(record) for record in records))


def read_records(path: Path) -> list[EpochRecord]:
    """Return the records so far. Raises: GraftError for a line that is not one."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    try:
        return [RECORD.validate_json(line) for line in lines]
    except ValidationError as error:
        raise GraftError(f"{path}: not a log of epochs: {error.errors()[0]['msg']}") from error


def cut_log(path: Path, epochs: int) -> None:
    """Drop the records of the epochs that will be run again: those after `epochs`."""
    write_records(path, (record for record in read_records(path) if record.epoch <= epochs))


def _to_line(record: EpochRecord) -> str:
    return RECORD.dump_json(record, exclude_none=True).decode() + "\n"
