"""Tensors of the open inference protocol, however they are sent: what a request may hold."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.artifact import CHANNELS, INPUT

DATATYPES = {"tensor(uint8)": "UINT8", "tensor(float)": "FP32"}
"""Names of the protocol for those of onnxruntime."""
MAX_BATCH = 128
MAX_PARSED_BYTES = 4 * 2**20
"""Of a request, beside tensors as bytes: more takes seconds to read, in which nobody else is answered."""
PIXELS = 256
LARGEST = 2**31
"""Larger numbers in a request are no sides and no microseconds."""
EXPECTED = f"{INPUT.name} UINT8 [batch, height, width, {CHANNELS}]"


class TensorError(ValueError):
    """A request that is not as the protocol, or the model, requires: what was found and expected."""


@dataclass(frozen=True)
class InferRequest:
    """What a client asks: images, uint8 (batch, height, width, 3), and for each output whether it is binary.

    `timeout_s` is how long it waits for the answer, None if it does not say.
    """

    images: NDArray[np.uint8]
    outputs: Mapping[str, bool]
    number: str | None = None
    timeout_s: float | None = None

    def deadline(self, latest: float) -> float:
        """Return until when to answer, by `time.monotonic`, `latest` at most."""
        return latest if self.timeout_s is None else min(latest, time.monotonic() + self.timeout_s)


def check_input(inputs: int, name: object, datatype: object, shape: object) -> Sequence[int]:
    """Return the shape of the first input, of which there must be one. Raises: TensorError."""
    if inputs != 1:
        raise TensorError(f"expected one input, {INPUT.name!r}")
    named = (name, datatype) == (INPUT.name, DATATYPES[INPUT.dtype])
    if not named or not isinstance(shape, list) or len(shape) != INPUT.rank:
        raise TensorError(f"the input is not {EXPECTED}")
    if not all(type(side) is int and 0 < side <= LARGEST for side in shape) or shape[-1] != CHANNELS:
        raise TensorError(f"the input has the shape {str(shape)[:80]}; expected {EXPECTED}, none 0")
    if shape[0] > MAX_BATCH:
        raise TensorError(f"a batch of {shape[0]} images; at most {MAX_BATCH} in one request")
    return shape


def to_pixels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return numbers of any kind as one row of uint8. Raises: TensorError if they are something else."""
    if values.size == 0 or values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= PIXELS:
        raise TensorError(f"data holds other values than whole numbers from 0 to {PIXELS - 1}")
    return values.astype(np.uint8).ravel()


def to_images(flat: NDArray[np.uint8], shape: Sequence[int]) -> NDArray[np.uint8]:
    """Give a row of pixels its shape. Raises: TensorError if their number is another."""
    count = math.prod(shape)
    if flat.size != count:
        raise TensorError(f"{flat.size} values for a tensor of {count}")
    return flat.reshape(shape)


def check_output(
    name: object, options: Collection[str], names: Sequence[str], known: Sequence[str] = ()
) -> str:
    """Return the name of an output that is asked for. Raises: TensorError if it, or an option, is unknown."""
    if name not in names:
        raise TensorError(f"no output {str(name)[:80]!r}; expected one of: {', '.join(names)}")
    if more := set(options).difference(known):
        raise TensorError(
            f"output {name}: no parameter {min(more)[:80]!r}; expected {known[0] if known else 'none'}"
        )
    return str(name)


def check_timeout(microseconds: object) -> float | None:
    """Return the seconds that a client waits, None if it does not say. Raises: TensorError."""
    if microseconds is None:
        return None
    if type(microseconds) is not int or not 0 < microseconds <= LARGEST:
        raise TensorError(f"timeout is not a whole number of microseconds from 1 to {LARGEST}")
    return microseconds / 1e6


def check_size(parsed: int, what: str, instead: str) -> None:
    """Refuse a request of which too many bytes, those of `what`, would be parsed. Raises: TensorError."""
    if parsed > MAX_PARSED_BYTES:
        raise TensorError(
            f"{parsed:,} bytes of {what}; at most {MAX_PARSED_BYTES:,} are read. Send tensors as {instead}"
        )


def datatype(array: NDArray[Any]) -> str:
    """Return the protocol's name for the type of an output's numbers."""
    return "UINT8" if array.dtype == np.uint8 else "FP32"
