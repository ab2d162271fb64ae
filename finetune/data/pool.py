"""What a source finds before anything is decoded: labelled images, in the splits it brings along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from finetune.data.images import ImageSource


@dataclass(frozen=True)
class Labelled:
    """An image and the index of its class."""

    image: ImageSource
    target: int


@dataclass(frozen=True)
class Pool:
    """`given` maps train, and val and test where the source has them, to their images in a fixed order."""

    where: str  # the source, as messages name it
    classes: tuple[str, ...]
    given: dict[str, list[Labelled]]
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Source:
    """A way to find the images of one kind of source: all of them, or one by its key."""

    where: str
    find: Callable[[], Pool]
    open: Callable[[str], ImageSource]
