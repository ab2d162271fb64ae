"""Every image decoded once, before a run begins: which are broken, and what each one's digest is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from finetune.data.errors import DataError
from finetune.data.images import ArrayImage
from finetune.data.pool import Labelled, Pool
from finetune.data.splits import Broken
from pixels import ImageError, decode_rgb

CHUNK = 32  # images a thread takes at a time
SHOWN = 5

Progress = Callable[[int, int], None]


def scan_images(
    pool: Pool, max_broken: float, progress: Progress | None = None
) -> tuple[Pool, tuple[Broken, ...]]:
    """The pool without its broken images, the rest knowing their digests; and the broken ones.

    `progress` is told how many of how many images are done.
    Raises: DataError when more than `max_broken` of the images are broken.
    """
    everything = [labelled for items in pool.given.values() for labelled in items]
    scanned = _in_threads(everything, progress)
    broken = tuple(each for each in scanned if isinstance(each, Broken))
    if len(broken) > max_broken * len(everything):
        raise DataError(_describe(pool.where, broken, len(everything), max_broken))
    left = iter(scanned)
    given = {
        split: [each for _ in items if isinstance(each := next(left), Labelled)]
        for split, items in pool.given.items()
    }
    return replace(pool, given=given), broken


def _in_threads(items: Sequence[Labelled], progress: Progress | None) -> list[Labelled | Broken]:
    """Pillow releases the interpreter's lock while it decodes, so threads are enough."""
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    scanned: list[Labelled | Broken] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        for found in threads.map(lambda chunk: [_scan(each) for each in chunk], chunks):
            scanned += found
            if progress is not None:
                progress(len(scanned), len(items))
    return scanned


def _scan(labelled: Labelled) -> Labelled | Broken:
    image = labelled.image
    try:
        content = image.content()
        if not isinstance(image, ArrayImage):
            decode_rgb(content)
    except ImageError as error:
        return Broken(image.name, error.reason)
    return replace(labelled, image=replace(image, sha256=hashlib.sha256(content).hexdigest()))


def _describe(where: str, broken: Sequence[Broken], total: int, max_broken: float) -> str:
    first = "\n".join(f"  {each.path}: {each.reason}" for each in broken[:SHOWN])
    more = f"\n  and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
    return (
        f"{where}: {len(broken)} of {total} images are broken, more than data.max_broken allows "
        f"({max_broken:g} of all):\n{first}{more}"
    )
