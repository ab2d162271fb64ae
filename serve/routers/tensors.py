"""Tensors of the open inference protocol over HTTP: JSON, or bytes after it (its binary tensor extension)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.inference.tensors import (
    InferRequest,
    TensorError,
    check_input,
    check_output,
    check_size,
    check_timeout,
    datatype,
    to_images,
    to_pixels,
)

MAX_JSON_NUMBERS = 2**20
"""Numbers of an answer that are written as JSON."""
BINARY, BINARY_SIZE, ALL_BINARY = "binary_data", "binary_data_size", "binary_data_output"


def read_request(body: bytes, json_size: int | None, names: Sequence[str]) -> InferRequest:
    """Read the body of a request for the outputs in `names`; `json_size` is where its JSON ends, if it says.

    Raises: TensorError.
    """
    size = len(body) if json_size is None else json_size
    if not 0 < size <= len(body):
        raise TensorError(f"the JSON has {size} bytes by its header; the body has {len(body)}")
    check_size(size, "JSON", "binary data")
    try:
        found = json.loads(body[:size])
    except (ValueError, RecursionError) as error:
        raise TensorError(f"the body is not JSON: {str(error)[:200]}") from error
    request, options = _object(found, "the request"), _options(found)
    timeout_s = check_timeout(options.get("timeout"))
    number = request.get("id")
    if number is not None and not isinstance(number, str):
        raise TensorError("id is not a string")
    return InferRequest(
        images=_read_input(request, memoryview(body)[size:]),
        outputs=_read_outputs(request, names, binary=options.get(ALL_BINARY) is True),
        number=number,
        timeout_s=timeout_s,
    )


def _read_input(request: Mapping[str, Any], rest: memoryview) -> NDArray[np.uint8]:
    inputs = request.get("inputs")
    inputs = inputs if isinstance(inputs, list) else []
    tensor = _object(inputs[0], "an input") if inputs else {}
    shape = check_input(len(inputs), tensor.get("name"), tensor.get("datatype"), tensor.get("shape"))
    size = _options(tensor).get(BINARY_SIZE)
    if size is None:
        flat = _from_json(tensor.get("data"))
    elif size != len(rest):
        raise TensorError(f"{BINARY_SIZE} is {str(size)[:20]}; {len(rest)} bytes came after the JSON")
    else:
        flat = np.frombuffer(rest, np.uint8)
    return to_images(flat, shape)


def _from_json(data: object) -> NDArray[np.uint8]:
    """Return the numbers of a list, which may be nested as the shape is, as one row."""
    if not isinstance(data, list):
        raise TensorError("the input has no data: neither a list of numbers, nor binary data")
    try:
        values = np.asarray(data)
    except (ValueError, OverflowError) as error:
        raise TensorError("data is not a list of numbers, or rows differ in length") from error
    return to_pixels(values)


def _read_outputs(request: Mapping[str, Any], names: Sequence[str], *, binary: bool) -> dict[str, bool]:
    wanted = request.get("outputs") or [{"name": name} for name in names]
    if not isinstance(wanted, list):
        raise TensorError("outputs is not a list")
    outputs = {}
    for each in wanted:
        output = _object(each, "an output")
        options = _options(output)
        name = check_output(output.get("name"), options, names, known=[BINARY])
        outputs[name] = options.get(BINARY, binary) is True
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
        output: dict[str, Any] = {"name": name, "datatype": datatype(array), "shape": list(array.shape)}
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
