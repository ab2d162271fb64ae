"""Features: the stage outputs of a frozen network, computed in one pass or read from the cache."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from finetune.features.cache import FeatureCache
from finetune.features.frozen_pass import NORM, Array, FrozenPass, Images, Rows
from finetune.features.taps import HEAD
from finetune.runtime.device import describe_device
from finetune.runtime.precision import EXACT, Precision
from finetune.transforms.preprocess import Preprocess
from zoo.errors import GraftError


@dataclass(frozen=True)
class Features:
    """The features of N images.

    `stages` holds each stage's average over positions, float32 (N, C), from the input to the top;
    `head_input` is the input of the head, (N, F). `norms` holds, for each stage with a batch norm, the mean
    and the mean square of the input of its last one, (N, 2, C). `computed` counts the images that were not in
    the cache.
    """

    stages: Mapping[str, Array]
    head_input: Array
    norms: Mapping[str, Array]
    precision: Precision
    computed: int
    seconds: float

    def take(self, rows: NDArray[np.integer]) -> Features:
        """Return the features of some images."""
        return replace(
            self,
            stages={name: stage[rows] for name, stage in self.stages.items()},
            head_input=self.head_input[rows],
            norms={name: norm[rows] for name, norm in self.norms.items()},
        )


def feature_key(net: nn.Module, head: str, preprocess: nn.Module) -> str:
    """Return the hash under which features of this network with this preprocessing are cached."""
    parts = (module_digest(net, without=head), module_digest(preprocess))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def module_digest(module: nn.Module, without: str = "") -> str:
    """Return the SHA-256 of a module: its submodules as they print themselves, its parameters and buffers.

    `without` names a submodule to leave out, such as a head whose output is not used. How submodules are
    wired counts as far as their printing shows it.
    """
    digest = hashlib.sha256()
    for name, part in module.named_modules():
        if not _is_inside(name, without):
            digest.update(f"{name} {type(part).__qualname__}({part.extra_repr()})\n".encode())
    for name, value in chain(module.named_parameters(), module.named_buffers()):
        if not _is_inside(name, without):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(
                np.ascontiguousarray(value.detach().cpu().reshape(-1).view(torch.uint8).numpy()).data
            )
    return digest.hexdigest()


def extract_features(
    net: nn.Module,
    images: Images,
    preprocess: Preprocess,
    *,
    head: str,
    stages: Sequence[str] = (),
    precision: Precision = EXACT,
    cache: FeatureCache | None = None,
    digests: Sequence[str] | None = None,
) -> Features:
    """Run the network, on its own device, over the images that are not in the cache.

    The cache needs `digests`, the hash of each image's content. What it holds changes no number.
    The network keeps its weights, modes and layout.
    Raises: GraftError when there are no images, or when the features are not finite.
    """
    start = time.perf_counter()
    if not len(images):
        raise GraftError("features: there are no images to compute features of")
    frozen = FrozenPass(net, images, preprocess, head, tuple(stages))
    if cache is None or digests is None:
        rows = np.arange(len(images))
        columns: Mapping[str, Array] = frozen.run(rows, precision)
        computed = len(rows)
    else:
        columns, computed = _use_cache(frozen, cache, digests, precision)
    return Features(
        stages={stage: columns[stage] for stage in stages},
        head_input=columns[HEAD],
        norms={name.removeprefix(NORM): values for name, values in columns.items() if name.startswith(NORM)},
        precision=precision,
        computed=computed,
        seconds=time.perf_counter() - start,
    )


def _use_cache(
    frozen: FrozenPass, cache: FeatureCache, digests: Sequence[str], precision: Precision
) -> tuple[Mapping[str, Array], int]:
    """Read what is cached, compute the rest, and write it in parts, so that an interruption loses little.

    Out: the columns of all images, and how many images were computed; equal images count once.
    """
    assert len(digests) == len(frozen.images), f"{len(digests)} digests for {len(frozen.images)} images"
    first, inverse = _unique(digests)
    unique = [digests[i] for i in first]
    arithmetic = f"{precision.name.replace(' ', '-')}-{describe_device(frozen.device)}"
    found = cache.read(unique, frozen.names, arithmetic)
    missing = np.flatnonzero(~found.known)

    def save(rows: slice, columns: Mapping[str, Array]) -> None:
        cache.write([unique[i] for i in missing[rows]], columns, arithmetic)

    computed = frozen.run(first[missing], precision, save)
    if not found.known.any():
        columns: Mapping[str, Array] = computed
    else:
        columns = found.columns
        for name, values in computed.items():
            columns[name][missing] = values
    return {name: values[inverse] for name, values in columns.items()}, len(missing)


def _unique(digests: Sequence[str]) -> tuple[Rows, Rows]:
    """Return the first row of each digest, in order, and for each row the index of its digest among those."""
    place: dict[str, int] = {}
    inverse = np.array([place.setdefault(digest, len(place)) for digest in digests])
    return np.unique(inverse, return_index=True)[1], inverse


def _is_inside(name: str, outer: str) -> bool:
    return bool(outer) and (name == outer or name.startswith(f"{outer}."))
