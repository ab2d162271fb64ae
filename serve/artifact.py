"""The contract of an exported model: one ONNX file that takes raw pixels and gives named answers.

`docs/artifact.md` states the same for other apps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from files import DamagedFileError, Manifest
from pixels import ImageError
from pixels.text import printable
from serve.graph_file import GraphFile, Tensor
from serve.tasks import Output, find_task, task_names

T = TypeVar("T")

CONTRACT_VERSION = 1
FILE_NAME, INT8_FILE_NAME, FLOAT16_FILE_NAME = "model.onnx", "model.int8.onnx", "model.float16.onnx"
FILES = (FILE_NAME, INT8_FILE_NAME, FLOAT16_FILE_NAME)
INPUT = Output("image", "tensor(uint8)", 4)
UNKNOWN = Output("unknown", "tensor(float)", 1)
"""An output that a file may have beside its task's: how unlike the training images each image is."""
CHANNELS = 3
PREFIX = "graft."
MAX_TEXT, MAX_LABELS, MAX_DEPTH, MAX_NUMBER = 2000, 100_000, 8, 2.0**63
REMEDY = "Expected a model.onnx written by a Graft run; `graft export RUN` writes it again"


class ArtifactError(Exception):
    """A model file that cannot be used: what was found, what was expected, and what to do."""


@dataclass(frozen=True)
class UnknownLimit:
    """Above `threshold`, the output `unknown` calls an image unlike the training images.

    `kept` is the share of the validation images that are not above it.
    """

    threshold: float
    kept: float


@dataclass(frozen=True)
class SetLimit:
    """The classes with at least this `probability`, and the best class, hold the right one.

    They do so for a share of `level` of new images that are like those of the training.
    """

    probability: float
    level: float


@dataclass(frozen=True)
class Metadata:
    """What a model file says about itself; `labels` in the order of the classes, `created` in UTC.

    `unknown` is None for a file without that output, `sets` where no sets of classes are promised. `compared`
    says how a file that was made from another, as int8 or float16, compares with it; empty for other files.
    """

    task: str
    labels: tuple[str, ...]
    spec: str
    spec_sha256: str
    metrics: Mapping[str, object] = field(default_factory=dict)
    weights: Mapping[str, object] = field(default_factory=dict)
    parity: Mapping[str, object] = field(default_factory=dict)
    compared: Mapping[str, object] = field(default_factory=dict)
    unknown: UnknownLimit | None = None
    sets: SetLimit | None = None
    created: str = ""
    graft_version: str = ""
    contract: int = CONTRACT_VERSION

    def to_map(self) -> dict[str, str]:
        """Return the properties of the ONNX file."""
        values = {
            "contract": str(self.contract),
            "task": self.task,
            "spec": self.spec,
            "spec_sha256": self.spec_sha256,
            "created": self.created,
            "version": self.graft_version,
        }
        for key in ("labels", "metrics", "weights", "parity"):
            values[key] = json.dumps(getattr(self, key), ensure_ascii=False)
        if self.compared:
            values["compared"] = json.dumps(self.compared)
        for key, limit in {"unknown": self.unknown, "sets": self.sets}.items():
            if limit is not None:
                values[key] = json.dumps(asdict(limit))
        return {PREFIX + key: value for key, value in values.items()}

    @classmethod
    def from_map(cls, values: Mapping[str, str]) -> Metadata:
        """Read the properties of an ONNX file.

        Raises: ArtifactError if Graft did not write them, or a newer contract did.
        """
        contract = _read_contract(values)
        task = _read_text(values, "task")
        if task not in task_names():
            _fail_value("task", task, " or ".join(task_names()))
        return cls(
            task=task,
            labels=_read_labels(values),
            spec=_read_text(values, "spec"),
            spec_sha256=_read_text(values, "spec_sha256"),
            metrics=_read_object(values, "metrics"),
            weights=_read_object(values, "weights"),
            parity=_read_object(values, "parity"),
            compared=_read_object(values, "compared"),
            unknown=_read_limit(values, "unknown", UnknownLimit),
            sets=_read_limit(values, "sets", SetLimit),
            created=_short("created", values.get(PREFIX + "created", "")),
            graft_version=_short("version", values.get(PREFIX + "version", "")),
            contract=contract,
        )


def find_artifact(path: str | Path) -> Path:
    """Return the model file of a path, which may be the folder of a run.

    Raises: ArtifactError if there is none.
    """
    path = Path(path)
    found = path / FILE_NAME if path.is_dir() else path
    if found.is_file():
        _check_written(found)
        return found
    missing = f"no {FILE_NAME} in this folder" if path.is_dir() else "no such file"
    raise ArtifactError(f"{path}: {missing}. {REMEDY}")


def _check_written(path: Path) -> None:
    """Raises: ArtifactError if the file is in the folder of a run, and not as the run wrote it."""
    manifest = Manifest(path.parent)
    try:
        # A file that is being exported has another name.
        if path.name in FILES and manifest.path.exists():
            manifest.check(path)
    except DamagedFileError as error:
        raise ArtifactError(f"{error}. {REMEDY}") from error


def check_contract(file: GraphFile) -> Metadata:
    """Return the metadata of a model file whose input and output are those of the contract.

    Raises: ArtifactError if they are not, or the file needs other files.
    """
    try:
        metadata = Metadata.from_map(file.properties)
    except (ValueError, RecursionError) as error:  # huge numbers, or JSON nested too deeply
        raise ArtifactError(f"its metadata is damaged ({error}). {REMEDY}") from error
    task = find_task(metadata.task)
    _check_tensor("input", file.inputs, INPUT)
    _check_tensor("output", file.outputs[:1], task.output)
    if metadata.unknown is not None or file.outputs[1:]:
        _check_tensor("second output", file.outputs[1:], UNKNOWN)
        if metadata.unknown is None:
            raise ArtifactError(f"its metadata has no {PREFIX}unknown for its second output. {REMEDY}")
    if fault := task.check_shape(file.outputs[0].shape, metadata.labels):
        raise ArtifactError(f"{fault}. {REMEDY}")
    if file.external:
        raise ArtifactError(f"its weights are in other files; the contract requires one file. {REMEDY}")
    if file.functions:
        raise ArtifactError(f"it defines {file.functions} operators; the contract allows none. {REMEDY}")
    return metadata


def check_pixels(images: NDArray[np.uint8], axes: str) -> None:
    """Raises: ImageError unless the array is uint8 with these axes, the last of them RGB."""
    fits = images.ndim == len(axes.split(",")) and images.shape[-1] == CHANNELS
    if not (fits and images.dtype == np.uint8 and images.size > 0):
        raise ImageError(f"expected pixels as uint8 ({axes}), found {images.dtype} {images.shape}")


def _check_tensor(kind: str, actual: Sequence[Tensor], expected: Output) -> None:
    if [(arg.name, arg.type, len(arg.shape)) for arg in actual] != [
        (expected.name, expected.dtype, expected.rank)
    ]:
        found = ", ".join(f"{arg.name} {arg.type} {arg.shape}" for arg in actual) or "missing"
        raise ArtifactError(
            f"the {kind} is {found}; the contract requires "
            f"{expected.name} {expected.dtype} of rank {expected.rank}. {REMEDY}"
        )


def _read_contract(values: Mapping[str, str]) -> int:
    text = values.get(PREFIX + "contract")
    if text is None:
        raise ArtifactError(f"an ONNX file that Graft did not write: it has no {PREFIX}contract. {REMEDY}")
    if not text.isdecimal() or int(text) < 1:
        _fail_value("contract", text, "a whole number from 1")
    if int(text) > CONTRACT_VERSION:
        raise ArtifactError(
            f"written for contract {text}; this version of Graft reads contracts up to {CONTRACT_VERSION}. "
            "Install a newer Graft, or export the run again with this one"
        )
    return int(text)


def _read_text(values: Mapping[str, str], key: str) -> str:
    if PREFIX + key not in values:
        raise ArtifactError(f"its metadata has no {PREFIX}{key}. {REMEDY}")
    return _short(key, values[PREFIX + key])


def _short(key: str, text: str) -> str:
    """Return a text of bounded length without what could act on a terminal."""
    if len(text) > MAX_TEXT:
        _fail_value(key, text, f"at most {MAX_TEXT:,} characters")
    return printable(text)


def _read_labels(values: Mapping[str, str]) -> tuple[str, ...]:
    labels = _read_json(values, "labels", list, "a JSON list of names")
    if not labels or not all(isinstance(label, str) for label in labels):
        _fail_value("labels", values[PREFIX + "labels"], "a JSON list of names")
    if len(labels) > MAX_LABELS:
        _fail_value("labels", values[PREFIX + "labels"], f"at most {MAX_LABELS:,} names")
    return tuple(_short("labels", label) for label in labels)


def _read_object(values: Mapping[str, str], key: str) -> dict[str, object]:
    if PREFIX + key not in values:
        return {}
    return cast("dict[str, object]", _checked(key, _read_json(values, key, dict, "a JSON object")))


def _read_limit(values: Mapping[str, str], key: str, kind: type[T]) -> T | None:
    """Return a dataclass of numbers, None where the key is missing."""
    names = [one.name for one in fields(cast("Any", kind))]
    found = _read_object(values, key)
    if PREFIX + key not in values:
        return None
    numbers = [found.get(name) for name in names]
    if not all(isinstance(number, int | float) for number in numbers):
        _fail_value(key, values[PREFIX + key], f"a JSON object with the numbers {' and '.join(names)}")
    return kind(*map(float, cast("list[float]", numbers)))


def _checked(key: str, value: object, depth: int = 1) -> object:
    """Return a JSON value of bounded depth, with short texts and numbers that are finite and not huge."""
    if depth > MAX_DEPTH:
        _fail_value(key, str(value), f"objects nested at most {MAX_DEPTH} deep")
    if isinstance(value, str):
        return _short(key, value)
    if isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:  # NaN compares with nothing
        _fail_value(key, str(value), "finite numbers below 2**63")
    if isinstance(value, list):
        return [_checked(key, one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {_short(key, name): _checked(key, one, depth + 1) for name, one in value.items()}
    return value


def _read_json(values: Mapping[str, str], key: str, kind: type[T], expected: str) -> T:
    if PREFIX + key not in values:
        raise ArtifactError(f"its metadata has no {PREFIX}{key}. {REMEDY}")
    text = values[PREFIX + key]
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, kind):
        _fail_value(key, text, expected)
    return value


def _fail_value(key: str, found: str, expected: str) -> NoReturn:
    raise ArtifactError(f"{PREFIX}{key} is {found[:80]!r}; expected {expected}. {REMEDY}")
