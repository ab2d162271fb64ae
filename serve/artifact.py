"""The contract of an exported model: one ONNX file that takes raw pixels and gives named answers.

`docs/artifact.md` states the same for other apps. Reading it needs onnxruntime alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import onnxruntime as ort

CONTRACT_VERSION = 1
FILE_NAME = "model.onnx"
INPUT_NAME = "image"
INPUT_DTYPE = "tensor(uint8)"
INPUT_RANK = 4
CHANNELS = 3
MAX_MASK_CLASSES = 256
PREFIX = "graft."
WAY_OUT = "Expected a model.onnx that a Graft run wrote; `python -m serve export RUN` writes it again"


class ArtifactError(Exception):
    """A model file that cannot be used: what was found, what was expected, and the way out."""


@dataclass(frozen=True)
class Output:
    """The one output of a task's artifact, in onnxruntime's words."""

    name: str
    dtype: str
    rank: int


OUTPUTS: Mapping[str, Output] = {
    "classification": Output("probabilities", "tensor(float)", 2),
    "segmentation": Output("mask", "tensor(uint8)", 3),
}


@dataclass(frozen=True)
class Metadata:
    """What an artifact says about itself; `labels` stand in the order of the classes."""

    task: str
    labels: tuple[str, ...]
    spec: str
    spec_sha256: str
    metrics: Mapping[str, object] = field(default_factory=dict)
    weights: Mapping[str, object] = field(default_factory=dict)
    parity: Mapping[str, object] = field(default_factory=dict)
    created: str = ""
    """UTC, ISO 8601."""
    graft_version: str = ""
    contract: int = CONTRACT_VERSION

    def to_map(self) -> dict[str, str]:
        """The string map that the ONNX file carries."""
        values: dict[str, str] = {
            "contract": str(self.contract),
            "task": self.task,
            "labels": json.dumps(self.labels, ensure_ascii=False),
            "spec": self.spec,
            "spec_sha256": self.spec_sha256,
            "metrics": json.dumps(self.metrics, ensure_ascii=False),
            "weights": json.dumps(self.weights, ensure_ascii=False),
            "parity": json.dumps(self.parity, ensure_ascii=False),
            "created": self.created,
            "version": self.graft_version,
        }
        return {PREFIX + key: value for key, value in values.items()}

    @classmethod
    def from_map(cls, values: Mapping[str, str]) -> Metadata:
        """The reverse of `to_map`.

        Raises: ArtifactError for a map that Graft did not write, or that a newer contract wrote.
        """
        contract = _read_contract(values)
        task = _read_text(values, "task")
        if task not in OUTPUTS:
            _fail_value("task", task, " or ".join(OUTPUTS))
        return cls(
            task=task,
            labels=_read_labels(values),
            spec=_read_text(values, "spec"),
            spec_sha256=_read_text(values, "spec_sha256"),
            metrics=_read_object(values, "metrics"),
            weights=_read_object(values, "weights"),
            parity=_read_object(values, "parity"),
            created=values.get(PREFIX + "created", ""),
            graft_version=values.get(PREFIX + "version", ""),
            contract=contract,
        )


def find_artifact(path: str | Path) -> Path:
    """The model file of a path, which may be the folder of a run.

    Raises: ArtifactError when there is none.
    """
    path = Path(path)
    found = path / FILE_NAME if path.is_dir() else path
    if found.is_file():
        return found
    if path.is_dir():
        raise ArtifactError(f"{path}: no {FILE_NAME} in this folder. {WAY_OUT}")
    raise ArtifactError(f"{path}: no such file. {WAY_OUT}")


def open_artifact(
    path: str | Path, options: ort.SessionOptions | None = None
) -> tuple[ort.InferenceSession, Metadata]:
    """Load a model file (or a run's) on the CPU and check it against the contract.

    Raises: ArtifactError for a missing, damaged or foreign file, and for one of a newer contract.
    """
    path = find_artifact(path)
    options = options or ort.SessionOptions()
    options.log_severity_level = 4  # what fails is raised; onnxruntime would print it too
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for each kind of damage
        raise ArtifactError(f"{path}: not a readable ONNX file ({_reason(error)}). {WAY_OUT}") from error
    try:
        return session, check_session(session)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:  # bytes that are no text, numbers or JSON without end
        raise ArtifactError(f"{path}: its metadata is damaged ({error}). {WAY_OUT}") from error


def _reason(error: Exception) -> str:
    """What onnxruntime says, without its codes and the path that the message has already."""
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return first_line.split(" : ")[-1].rpartition(" failed:")[2].rstrip(".")


def read_metadata(path: str | Path) -> Metadata:
    """What a model file says about itself, without preparing it for inference.

    Raises: ArtifactError as `open_artifact` does.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return open_artifact(path, options)[1]


def check_session(session: ort.InferenceSession) -> Metadata:
    """The metadata of a loaded model whose input and output are those of the contract.

    Raises: ArtifactError when they are not.
    """
    metadata = Metadata.from_map(session.get_modelmeta().custom_metadata_map)
    output = OUTPUTS[metadata.task]
    _check_tensors("input", session.get_inputs(), Output(INPUT_NAME, INPUT_DTYPE, INPUT_RANK))
    _check_tensors("output", session.get_outputs(), output)
    columns = session.get_outputs()[0].shape[-1]
    if metadata.task == "classification" and isinstance(columns, int) and columns != len(metadata.labels):
        raise ArtifactError(f"{len(metadata.labels)} labels stand for {columns} classes. {WAY_OUT}")
    return metadata


def _check_tensors(kind: str, found: Sequence[ort.NodeArg], expected: Output) -> None:
    if [(arg.name, arg.type, len(arg.shape)) for arg in found] != [
        (expected.name, expected.dtype, expected.rank)
    ]:
        seen = ", ".join(f"{arg.name} {arg.type} {arg.shape}" for arg in found) or "none"
        wanted = f"{expected.name} {expected.dtype} of rank {expected.rank}"
        raise ArtifactError(f"the {kind} is {seen}, where the contract says {wanted}. {WAY_OUT}")


def _read_contract(values: Mapping[str, str]) -> int:
    text = values.get(PREFIX + "contract")
    if text is None:
        raise ArtifactError(f"an ONNX file, but not one of Graft's: it has no {PREFIX}contract. {WAY_OUT}")
    if not text.isdecimal() or int(text) < 1:
        _fail_value("contract", text, "a whole number from 1")
    if int(text) > CONTRACT_VERSION:
        raise ArtifactError(
            f"written for contract {text}, this Graft reads contracts up to {CONTRACT_VERSION}. "
            "Install a newer Graft, or export the run again with this one"
        )
    return int(text)


def _read_text(values: Mapping[str, str], key: str) -> str:
    if PREFIX + key not in values:
        raise ArtifactError(f"its metadata has no {PREFIX}{key}. {WAY_OUT}")
    return values[PREFIX + key]


def _read_labels(values: Mapping[str, str]) -> tuple[str, ...]:
    labels = _read_json(values, "labels")
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        _fail_value("labels", values[PREFIX + "labels"], "a JSON list of names")
    return tuple(labels)


def _read_object(values: Mapping[str, str], key: str) -> dict[str, object]:
    if PREFIX + key not in values:
        return {}
    read = _read_json(values, key)
    if not isinstance(read, dict):
        _fail_value(key, values[PREFIX + key], "a JSON object")
    return read


def _read_json(values: Mapping[str, str], key: str) -> object:
    text = _read_text(values, key)
    try:
        read: object = json.loads(text)
    except json.JSONDecodeError:
        _fail_value(key, text, "JSON")
    return read


def _fail_value(key: str, found: str, expected: str) -> NoReturn:
    raise ArtifactError(f"{PREFIX}{key} is {found[:80]!r}, expected {expected}. {WAY_OUT}")
