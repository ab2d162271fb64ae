"""Pretrained weights into a network: found or fetched, hash-checked, matched by name, audited."""

from __future__ import annotations

import warnings
from pathlib import Path

from torch import Tensor, nn

from zoo.api import anatomy, build
from zoo.errors import WeightsError
from zoo.pretrained.match import Match, Rules, copy_tensors, match_tensors
from zoo.pretrained.origin import Audit, Origin
from zoo.pretrained.progress import showing_progress
from zoo.pretrained.sources import Source, find_entry, find_source
from zoo.pretrained.swaps import activation_warning, norm_warning, some_of
from zoo.pretrained.tensors import check_hash, read_tensors
from zoo.spec.header import TrainedInput
from zoo.spec.nodes import MapNode
from zoo.spec.spec import Spec, read_spec


def load(
    spec: Spec | str | Path, *, weights: str | None = None, classes: int | None = None, seed: int = 0
) -> tuple[nn.Module, Origin | None]:
    """Build a network as `zoo.build` does, and tell where its weights come from; None without any.

    What the audit of the origin warns of is for the caller to show.
    """
    spec = spec if isinstance(spec, Spec) else read_spec(spec)
    if weights is None:
        return build(spec, classes=classes, seed=seed), None
    obtain(find_source(spec, weights))  # before anything is built: it may not be to be had
    net = build(spec, classes=classes, seed=seed)
    return net, load_weights(net, spec, weights, classes or spec.classes)


def load_weights(net: nn.Module, spec: Spec, name: str, classes: int) -> Origin:
    """Load an entry of the spec's weights into its network of that many classes.

    A file that is not here is fetched. Tensors that do not fit and that no rule of the entry allows are an
    error, the head's aside. Raises WeightsError, WeightsUnavailableError; the network is then as it was.
    """
    source = find_source(spec, name)
    path = obtain(source)
    sha256 = check_hash(path, source.place)
    rules = rules_for(spec, net, name, classes)
    match = _match(path, net, spec, source, rules)
    if not match.fits:
        raise WeightsError(_misfit(spec, name, path, match))
    copy_tensors(net, match.copies)
    declared = spec.layers is not None
    reference = source.reference() if declared and source.reference else None
    told = [norm_warning(spec, match.skipped)] if match.skipped else []
    swapped = activation_warning(spec, net, reference, source.choices)
    told += [swapped] if swapped else []
    return Origin(name, source.origin, source.licence, sha256, source.classes, _audit(match, told))


def build_loaded(spec: Spec, name: str, classes: int | None, seed: int) -> nn.Module:
    """Build with weights for those who want the network alone: what is amiss is a Python warning."""
    net, origin = load(spec, weights=name, classes=classes, seed=seed)
    for warning in origin.audit.warnings if origin else ():
        warnings.warn(f"{spec.name}, weights {name}: {warning}", stacklevel=3)
    return net


def obtain(source: Source) -> Path:
    """Give the file of weights, fetching it where it is not here."""
    path = source.place.find()
    if path is not None:
        return path
    with showing_progress(source.place.home.name) as tell:
        return source.place.fetch(tell)


def available_weights(spec: Spec) -> tuple[str, ...]:
    """Name the entries of a spec's weights that would load now without any network."""
    found = []
    for name in spec.weights:
        try:
            if find_source(spec, name).place.find() is not None:
                found.append(name)
        except WeightsError:  # a name that no publisher knows is told when it is loaded
            continue
    return tuple(found)


def trained_input(spec: Spec, name: str) -> TrainedInput:
    """Give the preprocessing that weights were trained with, save what the spec's `input` says itself.

    For segmentation an image is never cropped, whatever its weights saw: its mask has to cover it.
    """
    given = spec.document.get("input")
    said = set(given.items) if isinstance(given, MapNode) else set()
    said |= {"resize"} if spec.task == "segmentation" else set()
    known = find_source(spec, name).input
    return TrainedInput(**{key: value for key, value in known if key not in said})


def rules_for(spec: Spec, net: nn.Module, name: str, classes: int) -> Rules:
    """Say how a file of weights may differ from the network: as the entry says, and its publisher."""
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
    """Match a file as it is; one that timm publishes in a form of its own, as timm reads it."""
    match = match_tensors(_read(path), net, rules)
    if match.fits or source.timm is None:
        return match
    from zoo.pretrained.from_timm import converted_tensors

    size = (spec.input.height, spec.input.width)
    try:
        tensors = converted_tensors(source, path, spec.input.channels, size)
    except Exception:  # timm's own ways of saying that the file is for another network
        return match
    return match_tensors(tensors, net, rules)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return read_tensors(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error


def _audit(match: Match, told: list[str]) -> Audit:
    return Audit(
        loaded=tuple(match.copies),
        fresh=match.fresh,
        missing=match.missing,
        unexpected=match.unexpected,
        reshaped=match.reshaped,
        skipped=match.skipped,
        warnings=tuple(told),
    )


def _misfit(spec: Spec, name: str, path: Path, match: Match) -> str:
    lines = [f"{spec.name}, weights {name}: {path} is for another network"]
    if match.lacking:
        lines.append(f"  not in the file:    {some_of(match.lacking)}")
    if match.strange:
        lines.append(f"  not in the network: {some_of(match.strange)}")
    if match.misshapen:
        lines.append(f"  of another shape:   {some_of(match.misshapen)}")
    lines.append(
        f"  {len(match.copies)} tensors fit. What is meant is said under weights.{name}: "
        "rename, reshape, allow_missing, allow_unexpected;\n"
        f"  `weights: {{{name}: null}}` in the spec takes these weights out of it"
    )
    return "\n".join(lines)
