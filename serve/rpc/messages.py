"""Messages of the open inference protocol over gRPC: tensors as bytes, or as lists of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

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
from serve.registry import Served

RAW_TENSOR = service_pb2.ModelInferRequest.DESCRIPTOR.fields_by_name["raw_input_contents"].number << 3 | 2
"""What stands before the length of a tensor as bytes."""
MAX_FIELDS = 1000
"""Of a message are looked at, to find its tensors."""


def parse(kind: type[Message], content: bytes) -> Message:
    """Return the message that was sent.

    Raises: TensorError if it is none, or has more bytes beside those of tensors than are read: what is parsed
    may need 50 times its bytes.
    """
    check_size(len(content) - _raw_bytes(content), "a message", "raw_input_contents")
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise TensorError(f"the message is not a {kind.DESCRIPTOR.name}") from error


def read_request(request: Any, names: Sequence[str]) -> InferRequest:  # noqa: ANN401
    """Read a ModelInferRequest for the outputs in `names`. Raises: TensorError."""
    first = request.inputs[0] if request.inputs else service_pb2.ModelInferRequest.InferInputTensor()
    shape = check_input(len(request.inputs), first.name, first.datatype, list(first.shape))
    wanted = [check_output(each.name, list(each.parameters), names) for each in request.outputs]
    return InferRequest(
        images=to_images(_values(first, request.raw_input_contents), shape),
        outputs=dict.fromkeys(wanted or names, True),
        number=request.id,
        timeout_s=check_timeout(_option(request.parameters, "timeout")),
    )


def write_answer(model: Served, asked: InferRequest, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a ModelInferResponse with the outputs that are asked for, as bytes of tensors."""
    answer = service_pb2.ModelInferResponse(
        model_name=model.name, model_version=model.version, id=asked.number
    )
    for name in asked.outputs:
        array = arrays[name]
        answer.outputs.add(name=name, datatype=datatype(array), shape=array.shape)
        answer.raw_output_contents.append(array.tobytes())
    return bytes(answer.SerializeToString())


def _values(tensor: Any, raw: Sequence[bytes]) -> NDArray[np.uint8]:  # noqa: ANN401
    numbers = tensor.contents.uint_contents
    if len(raw) > 1 or (raw and numbers):
        raise TensorError(
            f"{len(raw)} raw_input_contents and {len(numbers)} uint_contents came; expected one of the two"
        )
    if raw:
        return np.frombuffer(raw[0], np.uint8)
    if not numbers:
        raise TensorError("the input has no data: neither raw_input_contents, nor contents.uint_contents")
    return to_pixels(np.array(numbers, np.uint32))


def _option(parameters: Mapping[str, Any], name: str) -> object:
    if name not in parameters:  # reading it would add it
        return None
    kind = parameters[name].WhichOneof("parameter_choice")
    return None if kind is None else getattr(parameters[name], kind)


def _raw_bytes(content: bytes) -> int:
    """Return how many bytes of a message are those of tensors, which parsing only copies."""
    found = position = 0
    for _ in range(MAX_FIELDS):
        tag, position = _varint(content, position)
        if tag & 7 != RAW_TENSOR & 7:
            break  # the end, or what the protocol does not have
        length, position = _varint(content, position)
        position += length
        found += length if tag == RAW_TENSOR else 0
    return found if position <= len(content) else 0


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Return the number that stands at a position, seven bits in each byte, and the position after it."""
    number = shift = 0
    for byte in content[position : position + 10]:
        number |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:  # noqa: PLR2004  the last one
            break
    return number, position
