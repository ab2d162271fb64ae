"""What a source of images is: it finds images and their targets before anything is decoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from finetune.config.data import DataSettings
from finetune.data.images import DataError, ImageSource
from finetune.data.look import Look, look_at

SPLITS = ("train", "val", "test")
MAX_SHOWN = 5


@dataclass(frozen=True)
class Item:
    """An image and its target: a class index, a mask, or what else the data set of a task understands.

    `stratum` is the group of the image when splits are cut: each split gets its share of every group. A scan
    adds the `look`.
    """

    image: ImageSource
    target: Any
    stratum: int = 0
    look: Look | None = field(default=None, compare=False, kw_only=True)

    def scan(self) -> Self:
        """Read the image, and return the item with the image's digest and its look. Raises: ImageError."""
        image, pixels, _ = self.image.scan()
        return replace(self, image=image, look=look_at(pixels))


@dataclass(frozen=True)
class Pool:
    """The items of the splits that a source has, in a fixed order; `train` is always among them.

    `named` is False where the source gives its classes no names and they are called by their numbers.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, list[Item]]
    warnings: tuple[str, ...] = ()
    named: bool = True


class Source(ABC):
    """One place where images are stored, such as a folder; `where` is its name in messages."""

    where: str

    @abstractmethod
    def __init__(self, settings: DataSettings) -> None:
        """In: the `data` section of a spec."""

    @abstractmethod
    def find(self) -> Pool:
        """Return all images with their targets; nothing is decoded. Raises: DataError."""

    @abstractmethod
    def open(self, key: str, target: Any) -> Item:  # noqa: ANN401  as the source gave it
        """Return one item by the image's key; `target` is as the record of the splits holds it."""

    @abstractmethod
    def check(self, pool: Pool) -> None:
        """Check the pool before the scan, and again without the broken images. Raises: DataError."""

    def complete(self, pool: Pool) -> Pool:
        """Fill in what only the scan shows, such as classes. Raises: DataError."""
        return pool


class ClassSource(Source):
    """A source whose targets are class indices; splits are stratified by class."""

    @abstractmethod
    def open_image(self, key: str) -> ImageSource:
        """Return the image of that key."""

    def open(self, key: str, target: Any) -> Item:  # noqa: ANN401
        return class_item(self.open_image(key), target)

    def check(self, pool: Pool) -> None:
        """Raises: DataError for no images, one class, or classes that differ between the splits."""
        if not pool.splits["train"]:
            raise DataError(f"{self.where}: no images to train on")
        if len(pool.classes) == 1:
            raise DataError(f"{self.where}: one class only, {pool.classes[0]}; expected two or more")
        problems = []
        for split, items in pool.splits.items():
            present = {item.target for item in items}
            missing = [name for target, name in enumerate(pool.classes) if target not in present]
            if missing:
                problems.append(f"{split} has no image of {shorten_list(missing)}")
        if problems:
            raise DataError(
                f"{self.where}: the classes differ between the splits: {'; '.join(problems)}. Expected "
                "images of each class in every split that is given; a missing split is cut from train"
            )


def class_item(image: ImageSource, target: int) -> Item:
    """Return an image with its class index, which is also its stratum."""
    return Item(image, target, stratum=target)


SOURCES: dict[tuple[str, str], type[Source]] = {}
"""By the key of the `data` section that names the source, and the kind of target that it reads."""


def source(name: str, target: str = "class") -> Callable[[type[Source]], type[Source]]:
    """Register a class of sources. Raises: ValueError when the name is taken for that kind of target."""

    def register(kind: type[Source]) -> type[Source]:
        if (name, target) in SOURCES:
            raise ValueError(f"source '{name}' with {target} targets is registered twice")
        SOURCES[name, target] = kind
        return kind

    return register


def open_source(settings: DataSettings, target: str) -> Source:
    """Return the source that the settings name, for that kind of target. Raises: DataError."""
    if (settings.source, target) not in SOURCES:
        names = " or ".join(f"data.{name}" for name, kind in SOURCES if kind == target)
        raise DataError(f"data.{settings.source} has no {target} targets; expected {names}")
    return SOURCES[settings.source, target](settings)


def shorten_list(names: Iterable[str]) -> str:
    """Return the first few names, separated by commas."""
    listed = list(names)
    return ", ".join(listed[:MAX_SHOWN]) + (", …" if len(listed) > MAX_SHOWN else "")
