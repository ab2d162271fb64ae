"""Run a model file: arrays in, arrays out. The one place that opens an onnxruntime session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pixels import ImageError, usable_cores
from serve.artifact import (
    CHANNELS,
    INPUT,
    REMEDY,
    ArtifactError,
    Metadata,
    check_contract,
    check_pixels,
    find_artifact,
)
from serve.graph_file import NotOnnxError, read_graph_file
from serve.tasks import Task, find_task
from serve.watchdog import stop_after

PROVIDERS = ("CPUExecutionProvider",)
LOAD_S, TRIAL_S, RUN_S = 120.0, 30.0, 120.0
"""How long loading a file, a first small image, and each batch may take."""
TRIAL_SHAPE = (1, 37, 53, CHANNELS)
MAX_BATCH = 32
MAX_BATCH_PIXELS = 2**22
"""A batch holds at most so many pixels, unless one image alone has more; they take about 60 bytes each."""


@dataclass(frozen=True)
class ModelOutput:
    """What a model file answers for a batch.

    `answers` of a classification model are float32 (batch, classes), each row summing to 1; of a segmentation
    model uint8 (batch, height, width), numbers that index the labels. `unknown`, float32 (batch,), is how
    unlike the training images each image is; None if the file does not say.
    """

    answers: NDArray[Any]
    unknown: NDArray[np.float32] | None = None


class Model:
    """A model file, ready to run. Safe to call from several threads.

    `path` is a model.onnx or the folder of a run; `threads` is how many threads one call may use, by default
    one for every core that this process may run on.

    Raises: ArtifactError if the file is missing, damaged or not written by Graft.
    """

    def __init__(
        self, path: str | Path, threads: int | None = None, providers: Sequence[str] = PROVIDERS
    ) -> None:
        self.path = find_artifact(path)
        self.metadata = read_metadata(self.path)
        self.task: Task = find_task(self.metadata.task)
        self._session = _open_file(self.path, session_options(threads), providers)
        try:
            self._run(np.zeros(TRIAL_SHAPE, np.uint8), TRIAL_S)
        except ImageError as error:
            raise ArtifactError(f"{self.path}: {error.reason}. {REMEDY}") from error

    def __call__(self, images: NDArray[np.uint8], limit_s: float = RUN_S) -> ModelOutput:
        """Return the output for a batch, which may take `limit_s` seconds.

        In: uint8 (batch, height, width, 3), RGB.
        Raises: ImageError for an array of another shape or type, or one too large for the memory; also where
        the model does not answer as it should.
        """
        check_pixels(images, "batch, height, width, 3")
        return self._run(images, limit_s)

    def _run(self, images: NDArray[np.uint8], limit_s: float) -> ModelOutput:
        options = ort.RunOptions()
        try:
            with stop_after(limit_s, lambda: setattr(options, "terminate", True)):
                found = self._session.run(None, {INPUT.name: np.ascontiguousarray(images)}, options)
        except Exception as error:  # onnxruntime raises a different class for each kind of failure
            count, height, width = images.shape[:3]
            late = f"took over {limit_s:g} s" if options.terminate else "failed"
            reason = "" if options.terminate else f", perhaps out of memory ({_first_line(error)})"
            raise ImageError(
                f"the model {late} on {count} image(s) of {width}x{height} pixels{reason}"
            ) from error
        output = ModelOutput(*cast("list[NDArray[Any]]", found))
        if fault := self._check(output, images.shape):
            raise ImageError(f"the model is damaged: {fault}")
        return output

    def _check(self, output: ModelOutput, images: Sequence[int]) -> str:
        """Return what is wrong with the output for a batch of `images`, their shape; empty if nothing is."""
        unknown = output.unknown
        if unknown is not None and not (unknown.shape == (images[0],) and np.isfinite(unknown).all()):
            return f"it answers no finite number `unknown` for each of {images[0]} image(s)"
        return self.task.check_output(output.answers, images, len(self.metadata.labels))


def read_metadata(path: str | Path) -> Metadata:
    """Return what a model file says about itself, without loading it.

    Raises: ArtifactError if the file is missing, damaged or not written by Graft.
    """
    found = find_artifact(path)
    try:
        return check_contract(read_graph_file(found))
    except (NotOnnxError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ArtifactError(f"{found}: not a readable ONNX file ({reason}). {REMEDY}") from error
    except ArtifactError as error:
        raise ArtifactError(f"{found}: {error}") from error.__cause__


def open_session(model: str | bytes, options: ort.SessionOptions | None = None) -> ort.InferenceSession:
    """Open an ONNX file, or its bytes, as `Model` does, without checking it."""
    return ort.InferenceSession(model, options or session_options(), providers=list(PROVIDERS))


def _open_file(path: Path, options: ort.SessionOptions, providers: Sequence[str]) -> ort.InferenceSession:
    options.log_severity_level = 4  # errors are raised; onnxruntime would print them as well
    try:
        with stop_after(LOAD_S, lambda: options.set_load_cancellation_flag(True)):
            return ort.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # onnxruntime raises a different class for each kind of damage
        reason = _first_line(error).split(" : ")[-1].rpartition(" failed:")[2].rstrip(".")
        raise ArtifactError(f"{path}: not a readable ONNX file ({reason}). {REMEDY}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def session_options(threads: int | None = None) -> ort.SessionOptions:
    """Return onnxruntime's options for one image or a small batch at a time on the CPU."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    # The arena would keep the memory of the largest image for good; without it, the speed is the same.
    options.enable_cpu_mem_arena = False
    # Waiting threads would spin otherwise, which slows down other work on a small machine or a server.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def batch_by_size(
    images: Iterable[NDArray[np.uint8]], max_images: int = MAX_BATCH, max_pixels: int = MAX_BATCH_PIXELS
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Yield batches of images of equal size: their positions, and uint8 (batch, height, width, 3).

    `images` are read as they are needed; at most `max_images` of them, or `max_pixels`, are held at a time.
    """
    held: list[tuple[int, NDArray[np.uint8]]] = []
    pixels = 0
    for item in enumerate(images):
        size = item[1].size // CHANNELS
        if held and (len(held) == max_images or pixels + size > max_pixels):
            yield from _stack_by_size(held)
            held, pixels = [], 0
        held.append(item)
        pixels += size
    yield from _stack_by_size(held)


def _stack_by_size(
    images: list[tuple[int, NDArray[np.uint8]]],
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    groups: dict[tuple[int, ...], list[tuple[int, NDArray[np.uint8]]]] = defaultdict(list)
    for position, image in images:
        groups[image.shape].append((position, image))
    for group in groups.values():
        arrays = [image for _, image in group]
        yield [position for position, _ in group], arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
