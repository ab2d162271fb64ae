"""A pass of a frozen network over images, batch by batch, that reads its stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finetune.features.taps import HEAD, stage_norms, tap, tap_norms
from finetune.runtime.console import report_progress
from finetune.runtime.precision import Precision, arranged, evaluating
from finetune.transforms.preprocess import Preprocess
from zoo.errors import GraftError

Array = NDArray[np.float32]
Rows = NDArray[np.intp]
Save = Callable[[slice, Mapping[str, Array]], None]

NORM = "norm:"
"""Prefix of the columns that hold the inputs of the stages' batch norms."""
CPU_BATCH, ACCELERATOR_BATCH = 32, 256
SAVE_EVERY_S = 20.0


class Images(Protocol):
    """Images at the network's size: `images[i]` is uint8 (3, h, w), alone or first in a tuple."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> object: ...


@dataclass(frozen=True)
class FrozenPass:
    """A network, the images to run it over, and the stages to read."""

    net: nn.Module
    images: Images
    preprocess: Preprocess
    head: str
    stages: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next((value.device for value in self.net.parameters()), torch.device("cpu"))

    @property
    def batch_size(self) -> int:
        """The images of every batch on this device."""
        return CPU_BATCH if self.device.type == "cpu" else ACCELERATOR_BATCH

    @property
    def names(self) -> list[str]:
        """The columns of a pass: the head's input, the stages, and the norms of stages that have one."""
        return [HEAD, *self.stages, *(NORM + stage for stage in stage_norms(self.net, self.stages))]

    def run(self, rows: Rows, precision: Precision, save: Save | None = None) -> dict[str, Array]:
        """Return the columns of these images, in this order.

        From time to time, and at the end, `save` is called with a slice of `rows` and its columns.
        Raises: GraftError when a column is not finite.
        """
        columns: dict[str, Array] = {}
        saved = done = 0
        saved_at = time.monotonic()
        with evaluating(self.net), arranged(self.net, precision), precision.context(self.device):
            for pixels in self._batches(rows):
                part = self._columns(pixels, precision)
                # The whole columns at once: small arrays kept between the layers' large ones would leave gaps
                # that no layer fits into, and the memory would grow with every batch.
                columns = columns or {name: _allocate(each, len(rows)) for name, each in part.items()}
                for name, values in part.items():
                    columns[name][done : done + len(pixels)] = values
                done += len(pixels)
                report_progress("passing the images through the network", done, len(rows))
                if save and (done == len(rows) or time.monotonic() - saved_at > SAVE_EVERY_S):
                    save(slice(saved, done), {name: values[saved:done] for name, values in columns.items()})
                    saved, saved_at = done, time.monotonic()
        return columns

    def _batches(self, rows: Rows) -> Iterator[Tensor]:
        """Yield pixels batch by batch; on an accelerator, the next batch is read while the network runs.

        On a CPU both would compete for the cores, and a network waits for the slowest of its threads.
        """
        batches = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        if self.device.type == "cpu":
            yield from (self._read(batch) for batch in batches)
            return
        with ThreadPoolExecutor(1) as reader:
            ready = None
            for batch in [*batches, None]:
                coming = None if batch is None else reader.submit(self._read, batch)
                if ready is not None:
                    yield ready.result()
                ready = coming

    @torch.inference_mode()
    def _columns(self, pixels: Tensor, precision: Precision) -> dict[str, Array]:
        """Return the columns of a batch.

        A batch that is not full is filled up: kernels round differently with the size of a batch, and which
        images come together depends on the cache.
        """
        count, missing = len(pixels), self.batch_size - len(pixels)
        pixels = torch.cat([pixels, pixels[:1].expand(missing, *pixels.shape[1:])])
        inputs = precision.arrange(self._input(pixels))
        norms = stage_norms(self.net, self.stages)
        with tap(self.net, self.head, self.stages, inputs.shape[2:]) as caught, tap_norms(norms) as moments:
            self.net(inputs)
        caught |= {NORM + stage: moment for stage, moment in moments.items()}
        columns = {name: caught[name][:count].cpu().numpy() for name in self.names}
        broken = [name for name, values in columns.items() if not np.isfinite(values).all()]
        if broken:
            raise GraftError(
                f"features: the network's outputs are not finite (first at {broken[0]!r});"
                " its weights are damaged or do not suit its layers"
            )
        return columns

    def _read(self, rows: Rows) -> Tensor:
        """Out: uint8 (n, 3, h, w)."""
        indices = [int(i) for i in rows]
        batch = getattr(self.images, "__getitems__", None)  # as torch's loaders do: decodes on all cores
        items = batch(indices) if batch else [self.images[i] for i in indices]
        return torch.stack([torch.as_tensor(item[0] if isinstance(item, tuple) else item) for item in items])

    def _input(self, pixels: Tensor) -> Tensor:
        with torch.autocast(self.device.type, enabled=False):
            return self.preprocess.normalise(pixels.to(self.device))


def _allocate(part: Array, count: int) -> Array:
    """Return an array for so many rows like those of `part`."""
    return np.empty((count, *part.shape[1:]), part.dtype)
