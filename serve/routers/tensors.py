"""Tensors of the open inference protocol: JSON, or bytes after the JSON (its binary tensor extension)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.artifact import CHANNELS, INPUT

DATATYPES = {"tensor(uint8)": "UINT8", "tensor(float)": "FP32"}
"""Names of the protocol for those of onnxruntime."""
MAX_JSON_BYTES = 4 * 2**20
"""Of a request's JSON: more takes seconds to read, in which nobody else is answered."""
MAX_JSON_NUMBERS = 2**20
"""Numbers of an answer that are written as JSON."""
MAX_BATCH = 128
BINARY, BINARY_SIZE, ALL_BINARY = "binary_data", "binary_data_size", "binary_data_output"
PIXELS = 256
LARGEST = 2**31
"""Larger numbers in a request are no sides and no microseconds."""


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


def read_request(body: bytes, json_size: int | None, names: Sequence[str]) -> InferRequest:
    """Read the body of a request for the outputs in `names`; `json_size` is where its JSON ends, if it says.

    Raises: TensorError.
    """
    size = len(body) if json_size is None else json_size
    if not 0 < size <= len(body):
        raise TensorError(f"the JSON has {size} bytes by its header; the body has {len(body)}")
    if size > MAX_JSON_BYTES:
        raise TensorError(
            f"{size:,} bytes of JSON; at most {MAX_JSON_BYTES:,} are read. Send tensors as binary data"
        )
    try:
        found = json.loads(body[:size])
    except (ValueError, RecursionError) as error:
        raise TensorError(f"the body is not JSON: {str(error)[:200]}") from error
    request, options = _object(found, "the request"), _options(found)
    timeout = options.get("timeout")
    if timeout is not None and not (type(timeout) is int and 0 < timeout <= LARGEST):
        raise TensorError(f"timeout is not a whole number of microseconds from 1 to {LARGEST}")
    number = request.get("id")
    if number is not None and not isinstance(number, str):
        raise TensorError("id is not a string")
    return InferRequest(
        images=_read_input(request, memoryview(body)[size:]),
        outputs=_read_outputs(request, names, binary=options.get(ALL_BINARY) is True),
        number=number,
        timeout_s=None if timeout is None else timeout / 1e6,
    )


def _read_input(request: Mapping[str, Any], rest: memoryview) -> NDArray[np.uint8]:
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise TensorError(f"expected one input, {INPUT.name!r}")
    tensor = _object(inputs[0], "an input")
    expected = f"{INPUT.name} UINT8 [batch, height, width, {CHANNELS}]"
    shape = tensor.get("shape")
    named = (tensor.get("name"), tensor.get("datatype")) == (INPUT.name, DATATYPES[INPUT.dtype])
    if not named or not isinstance(shape, list) or len(shape) != INPUT.rank:
        raise TensorError(f"the input is not {expected}")
    if not all(type(side) is int and 0 < side <= LARGEST for side in shape) or shape[-1] != CHANNELS:
        raise TensorError(f"the input has the shape {str(shape)[:80]}; expected {expected}, none 0")
    if shape[0] > MAX_BATCH:
        raise TensorError(f"a batch of {shape[0]} images; at most {MAX_BATCH} in one request")
    size = _options(tensor).get(BINARY_SIZE)
    count = math.prod(shape)
    if size is None:
        flat = _from_json(tensor.get("data"))
    elif size != len(rest):
        raise TensorError(f"{BINARY_SIZE} is {str(size)[:20]}; {len(rest)} bytes came after the JSON")
    else:
        flat = np.frombuffer(rest, np.uint8)
    if flat.size != count:
        raise TensorError(f"{flat.size} values for a tensor of {count}")
    return flat.reshape(shape)


def _from_json(data: object) -> NDArray[np.uint8]:
    """Return the numbers of a list, which may be nested as the shape is, as one row."""
    if not isinstance(data, list):
        raise TensorError("the input has no data: neither a list of numbers, nor binary data")
    try:
        values = np.asarray(data)
    except (ValueError, OverflowError) as error:
        raise TensorError("data is not a list of numbers, or rows differ in length") from error
    if values.size == 0 or values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= PIXELS:
        raise TensorError(f"data holds other values than whole numbers from 0 to {PIXELS - 1}")
    return values.astype(np.uint8).ravel()


def _read_outputs(request: Mapping[str, Any], names: Sequence[str], *, binary: bool) -> dict[str, bool]:
    wanted = request.get("outputs") or [{"name": name} for name in names]
    if not isinstance(wanted, list):
        raise TensorError("outputs is not a list")
    outputs = {}
    for each in wanted:
        output = _object(each, "an output")
        name, options = output.get("name"), _options(output)
        if name not in names:
            raise TensorError(f"no output {str(name)[:80]!r}; expected one of: {', '.join(names)}")
        if more := set(options) - {BINARY}:
            raise TensorError(f"output {name}: no parameter {min(more)[:80]!r}; expected {BINARY}")
        outputs[str(name)] = options.get(BINARY, binary) is True
    return outputs


def write_answer(
    about: Mapping[str, str], request: InferRequest, arrays: Mapping[str, NDArray[Any]]
) -> tuple[bytes, int | None]:
    """Return the body of an answer, with `about` in it, and where its JSON ends if binary data follow.

    Raises: TensorError if too many numbers are asked for as JSON.
    """
    outputs, parts = [], []
    for name, binary in request.outputs.items():
        array = np.ascontiguousarray(arrays[name])
        datatype = "UINT8" if array.dtype == np.uint8 else "FP32"
        output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if binary:
            output["parameters"] = {BINARY_SIZE: array.nbytes}
            parts.append(array.tobytes())
        elif array.size > MAX_JSON_NUMBERS:
            raise TensorError(
                f"output {name} has {array.size:,} numbers; as JSON at most {MAX_JSON_NUMBERS:,}. "
                f"Ask for {BINARY}"
            )
        else:
            output["data"] = array.ravel().tolist()
        outputs.append(output)
    number = {} if request.number is None else {"id": request.number}
    head = json.dumps({**about, **number, "outputs": outputs}).encode()
    return b"".join((head, *parts)), len(head) if parts else None


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TensorError(f"{what} is not a JSON object")
    return value


def _options(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return _object(value.get("parameters") or {}, "parameters")
