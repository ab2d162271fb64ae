"""Match the tensors of a file to those of a network: which are loaded, which are not, which do not fit."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from zoo.errors import WeightsError
from zoo.pretrained.swaps import swapped_norms

COUNTER = ".num_batches_tracked"  # of batch norms: old files lack it, and no output depends on it

VARIANCE = ".running_var"


@dataclass(frozen=True)
class Rules:
    """How the tensors of a file may differ from those of a network.

    `rename` replaces parts of a name ("norm.1" -> "norm1") anywhere, or only at its start after `^`. `head`
    is the path of the layer that is not loaded for other classes; `known_classes` and `classes` are those of
    the file and of the network. `norms_by_choice`: the spec chooses the norms of the network. The others are
    names, paths or globs.
    """

    head: str
    classes: int
    known_classes: int | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    reshape: tuple[str, ...] = ()
    allow_missing: tuple[str, ...] = ()
    allow_unexpected: tuple[str, ...] = ()
    norms_by_choice: bool = False


@dataclass(frozen=True)
class Audit:
    """What happened to every tensor, by its name in the network (`unexpected`: by its name in the file).

    `fresh` keep their initial values because the classes differ, `skipped` because a choice of the spec makes
    the file's values meaningless, `missing` because the file lacks them and the spec allows that. `reshaped`
    were loaded in another shape. `warnings` are sentences to show to people.
    """

    loaded: tuple[str, ...]
    fresh: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Match:
    """The tensors to load, and the keys that do not fit and that no rule allows."""

    copies: Mapping[str, Tensor]
    audit: Audit
    missing_keys: tuple[str, ...]
    unexpected_keys: tuple[str, ...]
    mismatched_keys: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether every difference is allowed."""
        return not (self.missing_keys or self.unexpected_keys or self.mismatched_keys)


def match_tensors(tensors: Mapping[str, Tensor], net: nn.Module, rules: Rules) -> Match:
    """Match the tensors of a file to those of a network. Raises WeightsError if renamed names collide."""
    found, targets = rename_keys(tensors, rules.rename), loadable_tensors(net)
    swapped = swapped_norms(found, targets, net) if rules.norms_by_choice else frozenset()
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for key, target in targets.items():
        kind = "skipped" if _parent(key) in swapped else _classify(key, found.get(key), target, rules)
        keys[kind].append(key)
    new_head = any(is_named(key, (rules.head,)) for key in keys["fresh"])
    for key in (key for key in found if key not in targets):
        if _parent(key) in swapped:
            keys["skipped"].append(key)
        elif not (new_head and is_named(key, (rules.head,))):
            keys["unexpected" if is_named(key, rules.allow_unexpected) else "unexpected key"].append(key)
    copied = [key for key in (*keys["loaded"], *keys["reshaped"]) if key in found]
    audited = {kind: tuple(keys[kind]) for kind in ("fresh", "missing", "unexpected", "reshaped", "skipped")}
    return Match(
        copies={key: found[key].reshape(targets[key].shape) for key in copied},
        audit=Audit(loaded=tuple(copied), **audited),
        missing_keys=tuple(keys["missing key"]),
        unexpected_keys=tuple(keys["unexpected key"]),
        mismatched_keys=tuple(
            f"{key} {_size(found[key])}, not {_size(targets[key])}" for key in keys["mismatched key"]
        ),
    )


def rename_keys(tensors: Mapping[str, Tensor], rename: Mapping[str, str]) -> dict[str, Tensor]:
    """Rename tensors to the names in the network. Raises WeightsError if two get the same name."""
    patterns = [(_pattern(old), new) for old, new in rename.items()]
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        key = name
        for pattern, new in patterns:
            key = pattern.sub(rf"\g<1>{new}\g<2>", key)
        key = key.replace("..", ".").strip(".") or name
        if key in renamed:
            raise WeightsError(f"rename gives two tensors of the file the same name: {key} (one was {name})")
        renamed[key] = tensor
    return renamed


def loadable_tensors(net: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that a network loads, by name; a parametrised weight counts as one tensor."""
    found: dict[str, Tensor] = {}
    for key, value in net.state_dict().items():
        owner, is_parametrised, inside = key.partition(".parametrizations.")
        name = f"{owner}.{inside.partition('.')[0]}" if is_parametrised else key
        if is_parametrised and name not in found:
            module = net.get_submodule(owner)
            value = getattr(module, name.rpartition(".")[2]).detach()  # noqa: PLW2901
        found.setdefault(name, value)
    return found


def check_values(copies: Mapping[str, Tensor], net: nn.Module) -> None:
    """Check that tensors hold numbers that a network can use. Raises WeightsError."""
    for key, target in loadable_tensors(net).items():
        fault = _fault(key, copies[key], target) if key in copies else ""
        if fault:
            raise WeightsError(f"{key} holds {fault}")


def _fault(key: str, tensor: Tensor, target: Tensor) -> str:
    if target.is_floating_point() != tensor.is_floating_point():
        kind = "fractions" if tensor.is_floating_point() else "whole numbers, perhaps quantised"
        return f"{kind} ({tensor.dtype}), not {target.dtype}"
    if not target.is_floating_point():
        return ""
    wrong = ~torch.isfinite(tensor.to(target.dtype))
    if wrong.any():
        return f"{int(wrong.sum()):,} numbers that are not finite, of {wrong.numel():,}"
    return "negative variances" if key.endswith(VARIANCE) and bool((tensor.float() < 0).any()) else ""


def copy_tensors(net: nn.Module, copies: Mapping[str, Tensor]) -> None:
    """Write tensors into a network, in the network's own precision."""
    state = net.state_dict()
    for key, tensor in copies.items():
        path, _, name = key.rpartition(".")
        module = net.get_submodule(path)
        if parametrize.is_parametrized(module, name):
            setattr(module, name, tensor.to(getattr(module, name).dtype))
        else:
            state[key].copy_(tensor)


def is_named(key: str, names: Iterable[str]) -> bool:
    """Return whether one of the names is this key, a path that contains it, or a glob that matches it."""
    return any(key == name or key.startswith(name + ".") or fnmatchcase(key, name) for name in names)


def _classify(key: str, tensor: Tensor | None, target: Tensor, rules: Rules) -> str:
    """Return what happens to a tensor of the network, given the file's tensor of the same name."""
    if tensor is None and key.endswith(COUNTER):
        return "loaded"
    if tensor is not None and tensor.shape == target.shape:
        return "loaded"
    if tensor is not None and tensor.numel() == target.numel() and is_named(key, rules.reshape):
        return "reshaped"
    if is_named(key, (rules.head,)) or (tensor is not None and _differs_by_classes(tensor, target, rules)):
        return "fresh"
    if is_named(key, rules.allow_missing):
        return "missing"
    return "missing key" if tensor is None else "mismatched key"


def _differs_by_classes(tensor: Tensor, target: Tensor, rules: Rules) -> bool:
    """Return whether two shapes differ only in the number of classes, as in an auxiliary head."""
    if rules.known_classes is None or tensor.dim() == 0 or tensor.shape[1:] != target.shape[1:]:
        return False
    return tensor.shape[0] == rules.known_classes and target.shape[0] == rules.classes


def _parent(key: str) -> str:
    return key.rpartition(".")[0]


def _pattern(old: str) -> re.Pattern[str]:
    start = r"(^)" if old.startswith("^") else r"(^|\.)"
    return re.compile(start + re.escape(old.removeprefix("^")) + r"(\.|$)")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"
