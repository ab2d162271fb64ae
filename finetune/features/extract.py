"""What the stages of a frozen network make of images: one pass, and none for images that are known."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from finetune.features.cache import FeatureCache
from finetune.features.digest import module_digest
from finetune.features.frozen_pass import NORM, Array, FrozenPass, Images, Normalises, Rows
from finetune.features.taps import HEAD
from finetune.runtime.precision import Precision
from zoo.errors import GraftError


@dataclass(frozen=True)
class Features:
    """What a frozen network makes of N images, in their order.

    `stages` holds each stage's average over places, float32 (N, C), from the input upward; `head_input` is
    what the head is given, (N, F). `norms` holds, for each stage with a batch norm, the mean and the mean
    square of the input of its last one, (N, 2, C). `computed` counts the images that the network ran over;
    the others came from the cache.
    """

    stages: Mapping[str, Array]
    head_input: Array
    norms: Mapping[str, Array]
    precision: Precision
    computed: int
    seconds: float

    def take(self, rows: Rows) -> Features:
        """The same of some of the images."""
        return replace(
            self,
            stages={name: values[rows] for name, values in self.stages.items()},
            head_input=self.head_input[rows],
            norms={name: values[rows] for name, values in self.norms.items()},
        )


def feature_key(net: nn.Module, head: str, preprocess: nn.Module) -> str:
    """The hash under which features of this network with this preprocessing are cached."""
    parts = (module_digest(net, without=head), module_digest(preprocess))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def extract_features(
    net: nn.Module,
    images: Images,
    preprocess: Normalises,
    *,
    head: str,
    stages: Sequence[str] = (),
    precision: Precision | None = None,
    cache: FeatureCache | None = None,
    digests: Sequence[str] | None = None,
    batch_size: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Features:
    """Run the network once, on the device it lies on, over the images that are not in the cache.

    Without a precision, the fastest on this device is measured once for each network and kept in the cache.
    `digests` names the content of each image, which the cache needs; `progress` is told how many images are
    done. The network keeps its weights, modes and layout.
    Raises: GraftError when there are no images, or when the features are not finite.
    """
    start = time.perf_counter()
    if not len(images):
        raise GraftError("features: there are no images to compute features of")
    frozen = FrozenPass(net, images, preprocess, head, tuple(stages), batch_size, progress)
    if cache is None or digests is None:
        rows = np.arange(len(images))
        precision = precision or frozen.choose_precision(rows)
        columns: Mapping[str, Array] = frozen.run(rows, precision)
        computed = len(rows)
    else:
        precision = precision or _settle_precision(frozen, cache)
        columns, computed = _through_cache(frozen, cache, digests, precision)
    return Features(
        stages={stage: columns[stage] for stage in stages},
        head_input=columns[HEAD],
        norms={name.removeprefix(NORM): values for name, values in columns.items() if name.startswith(NORM)},
        precision=precision,
        computed=computed,
        seconds=time.perf_counter() - start,
    )


def _settle_precision(frozen: FrozenPass, cache: FeatureCache) -> Precision:
    """The precision of the features that are cached, else the fastest, which is then kept."""
    known = cache.precision(frozen.device.type)
    if known is not None:
        return known
    precision = frozen.choose_precision(np.arange(len(frozen.images)))
    if precision.images_per_s:
        cache.remember(precision, frozen.device.type)
    return precision


def _through_cache(
    frozen: FrozenPass, cache: FeatureCache, digests: Sequence[str], precision: Precision
) -> tuple[Mapping[str, Array], int]:
    """Read what is known, compute the rest, and write it as it comes, so that a kill loses little.

    Out: the columns of all images, and how many images were computed; equal images count once.
    """
    assert len(digests) == len(frozen.images), f"{len(digests)} digests for {len(frozen.images)} images"
    first, inverse = _unique(digests)
    unique = [digests[i] for i in first]
    found = cache.read(unique, frozen.names, precision.dtype)
    missing = np.flatnonzero(~found.known)

    def save(rows: slice, columns: Mapping[str, Array]) -> None:
        cache.write([unique[i] for i in missing[rows]], columns, precision.dtype)

    computed = frozen.run(first[missing], precision, save)
    if not found.known.any():
        columns: Mapping[str, Array] = computed
    else:
        columns = found.columns
        for name, values in computed.items():
            columns[name][missing] = values
    return {name: values[inverse] for name, values in columns.items()}, len(missing)


def _unique(digests: Sequence[str]) -> tuple[Rows, Rows]:
    """The first row of each content, in order, and for each row the place of its content among those."""
    place: dict[str, int] = {}
    inverse = np.array([place.setdefault(digest, len(place)) for digest in digests])
    return np.unique(inverse, return_index=True)[1], inverse
