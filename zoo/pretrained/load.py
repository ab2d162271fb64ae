"""Load pretrained weights into a network: find or download the file, check its hash, match it, copy it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from zoo.catalog.anatomy import anatomy
from zoo.errors import WeightsError
from zoo.pretrained.match import Audit, Match, Rules, check_values, copy_tensors, match_tensors
from zoo.pretrained.sources import find_entry, find_source
from zoo.pretrained.sources.base import Source
from zoo.pretrained.swaps import activation_warning, norm_warning, some_of
from zoo.pretrained.tensors import read_tensors
from zoo.spec.header import TrainedInput
from zoo.spec.nodes import MapNode
from zoo.spec.spec import Spec


@dataclass(frozen=True)
class Origin:
    """The weights that a network started from. `classes` is None where their number is not known."""

    name: str
    origin: str
    licence: str
    sha256: str
    classes: int | None
    audit: Audit

    def as_json(self) -> dict[str, str | int | None]:
        """Return what an artifact says about its weights: name, origin, licence, sha256, classes."""
        return {
            "name": self.name,
            "origin": self.origin,
            "licence": self.licence,
            "sha256": self.sha256,
            "classes": self.classes,
        }


def load_weights(net: nn.Module, spec: Spec, name: str, classes: int) -> Origin:
    """Load an entry of a spec's weights into the spec's network, built for that many classes.

    A file that is not on this machine is downloaded. Tensors that do not fit are an error unless the entry
    allows them or they belong to the head.

    Raises: WeightsError, WeightsUnavailableError. The network is then unchanged.
    """
    source, path = find_source(spec, name), fetch_weights(spec, name)
    sha256 = source.file.verify(path)
    match = _match(path, net, spec, source, rules_for(spec, net, name, classes))
    if not match.fits:
        raise WeightsError(_mismatch(spec, name, path, match))
    try:
        check_values(match.copies, net)
    except WeightsError as error:
        raise WeightsError(
            f"{spec.name}, weights {name}: {path} is damaged, or its training failed: {error}"
        ) from error
    copy_tensors(net, match.copies)
    reference = source.reference() if spec.layers is not None and source.reference else None
    warnings = [norm_warning(spec, match.audit.skipped)] if match.audit.skipped else []
    if swapped := activation_warning(spec, net, reference, source.choices):
        warnings.append(swapped)
    audit = replace(match.audit, warnings=tuple(warnings))
    return Origin(name, source.origin, source.licence, sha256, source.classes, audit)


def fetch_weights(spec: Spec, name: str) -> Path:
    """Return the file of an entry of a spec's weights, and download it if it is not on this machine."""
    file = find_source(spec, name).file
    return file.find() or file.fetch()


def available_weights(spec: Spec) -> tuple[str, ...]:
    """Return the names of a spec's weights that load without a network."""
    found = []
    for name in spec.weights:
        try:
            if find_source(spec, name).file.find() is not None:
                found.append(name)
        except WeightsError:  # unknown to its publisher: an error only when it is loaded
            continue
    return tuple(found)


def trained_input(spec: Spec, name: str) -> TrainedInput:
    """Return the preprocessing that weights were trained with, without what the spec's own `input` sets.

    Where a network answers for every pixel, images are never cropped, whatever the weights were trained with.
    """
    own = spec.document.get("input")
    set_by_spec = set(own.items) if isinstance(own, MapNode) else set()
    set_by_spec |= {"resize"} if spec.dense else set()
    trained = find_source(spec, name).input
    return TrainedInput(**{key: value for key, value in trained if key not in set_by_spec})


def rules_for(spec: Spec, net: nn.Module, name: str, classes: int) -> Rules:
    """Return how a file of weights may differ from the network, by its entry and its publisher."""
    entry, source = find_entry(spec, name), find_source(spec, name)
    return Rules(
        head=anatomy(spec, net).head,
        classes=classes,
        known_classes=source.classes,
        rename=source.rename,
        reshape=tuple(entry.reshape),
        allow_missing=tuple(entry.allow_missing),
        allow_unexpected=(*entry.allow_unexpected, *source.extras),
        norms_by_choice=spec.layers is not None,
    )


def _match(path: Path, net: nn.Module, spec: Spec, source: Source, rules: Rules) -> Match:
    """Match a file as it is, else as its publisher converts it."""
    match = match_tensors(read_tensors(path), net, rules)
    if match.fits or source.convert is None:
        return match
    try:
        tensors = source.convert(path, spec.input.channels, (spec.input.height, spec.input.width))
    except Exception:  # the publisher's own errors for a file of another network
        return match
    return match_tensors(tensors, net, rules)


def _mismatch(spec: Spec, name: str, path: Path, match: Match) -> str:
    lines = [f"{spec.name}, weights {name}: {path} is for another network"]
    if match.missing_keys:
        lines.append(f"  not in the file:    {some_of(match.missing_keys)}")
    if match.unexpected_keys:
        lines.append(f"  not in the network: {some_of(match.unexpected_keys)}")
    if match.mismatched_keys:
        lines.append(f"  of another shape:   {some_of(match.mismatched_keys)}")
    lines.append(
        f"  {len(match.copies)} tensors fit. To allow differences, set rename, reshape, allow_missing or "
        f"allow_unexpected under weights.{name};\n"
        f"  to remove these weights from the spec, set `weights: {{{name}: null}}`"
    )
    return "\n".join(lines)
