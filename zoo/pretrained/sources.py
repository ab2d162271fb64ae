"""From an entry of a spec's `weights` to its file and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import WeightsError, nearest
from zoo.pretrained.card import find_card
from zoo.pretrained.download import Download
from zoo.pretrained.place import LocalFile, Place
from zoo.spec.header import TrainedInput, WeightsEntry
from zoo.spec.spec import Spec
from zoo.spec.weight_files import find_weight_file

if TYPE_CHECKING:
    from torch import nn

UNKNOWN_LICENCE = "not stated"


@dataclass(frozen=True)
class Source:
    """What a publisher tells of weights, with what the spec's entry says laid over it.

    `title` names them in words; `classes` is None where nobody says how many they know. `rename` brings old
    key names to today's, `extras` are modules in the file that networks here are built without. `reference`
    makes the network that they were trained in, on the meta device; `timm` is its name there. `choices` are
    those of the spec that they were trained with.
    """

    title: str
    place: Place
    licence: str = UNKNOWN_LICENCE
    classes: int | None = None
    input: TrainedInput = field(default_factory=TrainedInput)
    rename: Mapping[str, str] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    reference: Callable[[], nn.Module] | None = None
    timm: str | None = None
    choices: Mapping[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Give title and URL in one line; where a file lies on this machine is nobody else's business."""
        known = isinstance(self.place, LocalFile) or self.title == self.place.origin
        return self.title if known else f"{self.title}, {self.place.origin}"


def find_source(spec: Spec, name: str) -> Source:
    """Say what an entry of a spec's weights stands for; nothing is fetched. Raises WeightsError."""
    entry = find_entry(spec, name)
    if entry.torchvision is not None:
        from zoo.pretrained.from_torchvision import torchvision_source

        source = torchvision_source(entry.torchvision, entry.sha256)
    elif entry.timm is not None:
        from zoo.pretrained.from_timm import timm_source

        source = timm_source(entry.timm, entry.sha256)
    elif entry.hub is not None:
        from zoo.pretrained.hub import hub_file

        source = Source(f"hub {entry.hub}", hub_file(entry.hub, entry.sha256 or ""))
    elif entry.file is not None:
        source = _from_file(find_weight_file(entry.file, spec.path.parent), entry.sha256)
    else:
        source = _from_url(spec, name, entry)
    return _with_entry(source, entry)


def find_entry(spec: Spec, name: str) -> WeightsEntry:
    """Give an entry of a spec's weights. Raises WeightsError, with the nearest name."""
    if name in spec.weights:
        return spec.weights[name]
    declared = ", ".join(spec.weights) or "none"
    near = nearest(name, spec.weights)
    hint = f"; did you mean '{near}'?" if near else ""
    raise WeightsError(f"{spec.path}: declares no weights '{name}'; it declares {declared}{hint}")


def merge_input(under: TrainedInput, over: TrainedInput | None) -> TrainedInput:
    """Lay what one says of the input over what another says."""
    return under.model_copy(update=over.model_dump(exclude_none=True) if over else {})


def _from_file(path: Path, sha256: str | None) -> Source:
    card = find_card(path)
    if card is None:
        return Source(f"the file {path.name}", LocalFile(path, sha256 or ""))
    return Source(
        title=f"{card.name}, trained by Graft on {card.data}",
        place=LocalFile(path, sha256 or card.sha256),
        licence=card.licence,
        classes=card.classes,
        input=card.input,
        choices=card.choices,
    )


def _from_url(spec: Spec, name: str, entry: WeightsEntry) -> Source:
    assert entry.url is not None
    if entry.sha256 is None:
        raise WeightsError(
            f"{spec.path}: weights.{name}: a url without sha256: what comes could not be checked\n"
            "  expected: sha256, the hash of the file, beside url"
        )
    return Source(entry.url, Download(entry.url, entry.sha256))


def _with_entry(source: Source, entry: WeightsEntry) -> Source:
    return replace(
        source,
        licence=entry.licence or source.licence,
        classes=entry.classes or source.classes,
        input=merge_input(source.input, entry.input),
        rename={**source.rename, **entry.rename},
    )
