"""Reading every image once before a run begins: which are broken, and the digest of each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from finetune.data.images import DataError
from finetune.data.source import MAX_SHOWN, Item, Pool
from finetune.runtime.console import report_progress
from pixels import ImageError, usable_cores

IMAGES_PER_CHUNK = 32
SHALLOW_BITS = (8, 10, 12, 14)


@dataclass(frozen=True)
class Broken:
    """An image that was left out, and why."""

    path: str
    reason: str


def scan_images(pool: Pool, where: str, max_broken: float) -> tuple[Pool, tuple[Broken, ...]]:
    """Return the pool without its broken images, the others with their digests; and the broken images.

    Raises: DataError when more than the share `max_broken` of the images is broken.
    """
    items = [item for split in pool.splits.values() for item in split]
    chunks = [items[i : i + IMAGES_PER_CHUNK] for i in range(0, len(items), IMAGES_PER_CHUNK)]
    with ThreadPoolExecutor(max_workers=usable_cores()) as threads:  # Pillow decodes without the global lock
        scanned = []
        for chunk in threads.map(_scan_chunk, chunks):
            scanned += chunk
            report_progress("checking the images", len(scanned), len(items))
    broken = tuple(each for each in scanned if isinstance(each, Broken))
    if len(broken) > max_broken * len(items):
        raise DataError(_describe(where, broken, len(items), max_broken))
    remaining = iter(scanned)
    splits = {
        name: [each for _ in split if isinstance(each := next(remaining), Item)]
        for name, split in pool.splits.items()
    }
    return replace(pool, splits=splits), broken


def warn_shallow(pool: Pool, where: str) -> tuple[str, ...]:
    """Return a warning where all images of 16 bits use 14 or fewer of them, and are dark for it."""
    deep = [item.image for split in pool.splits.values() for item in split if item.image.deep_max is not None]
    top = max((image.deep_max or 0 for image in deep), default=0)
    bits = next((bits for bits in SHALLOW_BITS if top < 2**bits), None)
    if not deep or bits is None:
        return ()
    return (
        f"{where}: images of 16 bits without a value above {2**bits - 1}, as {bits}-bit cameras store them: "
        f"{len(deep)}, such as {deep[0].name}; white is 65535 here, so they are read as nearly black. "
        f"Multiply their values by {2 ** (16 - bits)}, or save them with 8 bits",
    )


def _scan_chunk(items: Sequence[Item]) -> list[Item | Broken]:
    return [_scan(item) for item in items]


def _scan(item: Item) -> Item | Broken:
    try:
        return item.scan()
    except ImageError as error:
        return Broken(error.name or item.image.name, error.reason)


def _describe(where: str, broken: Sequence[Broken], total: int, max_broken: float) -> str:
    first = "\n".join(f"  {each.path}: {each.reason}" for each in broken[:MAX_SHOWN])
    more = f"\n  and {len(broken) - MAX_SHOWN} more" if len(broken) > MAX_SHOWN else ""
    return (
        f"{where}: {len(broken)} of {total} images are broken, more than data.max_broken allows "
        f"({max_broken:g} of all):\n{first}{more}"
    )
