"""Which tensor of a file goes where in a network: renamed, reshaped, left out; and what does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import Tensor, nn
from torch.nn.utils import parametrize

from zoo.errors import WeightsError
from zoo.pretrained.swaps import swapped_norms

COUNTER = ".num_batches_tracked"  # of batch norms; files of old lack it, and nothing depends on it
KINDS = ("fresh", "missing", "lacking", "skipped", "misshapen", "reshaped", "loaded")


@dataclass(frozen=True)
class Rules:
    """How a file's tensors may differ from the network's.

    `rename` replaces runs of whole parts of a name ("norm.1" -> "norm1"), anywhere, or at the start after
    `^`. `head` is the path of the layer that other classes leave fresh; `known_classes` and `classes` are
    those of the file and the network. `norms_by_choice`: the network's norms are the spec's to choose.
    The others are names, paths or globs.
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
class Match:
    """What to load, and what becomes of the rest; `lacking`, `strange` and `misshapen` no rule allows."""

    copies: Mapping[str, Tensor]
    fresh: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    skipped: tuple[str, ...]
    lacking: tuple[str, ...]
    strange: tuple[str, ...]
    misshapen: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether all that differs is allowed."""
        return not (self.lacking or self.strange or self.misshapen)


def match_tensors(tensors: Mapping[str, Tensor], net: nn.Module, rules: Rules) -> Match:
    """Hold a file's tensors against a network. Raises WeightsError when renaming makes two of one name."""
    found = rename_keys(tensors, rules.rename)
    wanted = targets(net)
    swapped = swapped_norms(found, wanted, net) if rules.norms_by_choice else frozenset()
    keys: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for key, target in wanted.items():
        kind = "skipped" if _parent(key) in swapped else _kind(key, found.get(key), target, rules)
        keys[kind].append(key)
    copied = [key for key in (*keys["loaded"], *keys["reshaped"]) if key in found]
    left = [key for key in found if key not in wanted]
    strange = [
        key for key in left if _parent(key) not in swapped and not _is_dropped(key, rules, keys["fresh"])
    ]
    return Match(
        copies={key: found[key].reshape(wanted[key].shape) for key in copied},
        fresh=tuple(keys["fresh"]),
        missing=tuple(keys["missing"]),
        unexpected=tuple(key for key in strange if is_named(key, rules.allow_unexpected)),
        reshaped=tuple(keys["reshaped"]),
        skipped=(*keys["skipped"], *(key for key in left if _parent(key) in swapped)),
        lacking=tuple(keys["lacking"]),
        strange=tuple(key for key in strange if not is_named(key, rules.allow_unexpected)),
        misshapen=tuple(f"{key} {_size(found[key])}, not {_size(wanted[key])}" for key in keys["misshapen"]),
    )


def rename_keys(tensors: Mapping[str, Tensor], rename: Mapping[str, str]) -> dict[str, Tensor]:
    """Give tensors the names that the network has for them. Raises WeightsError when two become one."""
    patterns = [(_pattern(old), new) for old, new in rename.items()]
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        key = name
        for pattern, new in patterns:
            key = pattern.sub(rf"\g<1>{new}\g<2>", key)
        key = key.replace("..", ".").strip(".") or name
        if key in renamed:
            raise WeightsError(
                f"rename gives two tensors of the file one name: {key}; one of them was {name}"
            )
        renamed[key] = tensor
    return renamed


def targets(net: nn.Module) -> dict[str, Tensor]:
    """Give the tensors that a network loads, by name; a weight that is held in parts counts as one."""
    found: dict[str, Tensor] = {}
    for key, value in net.state_dict().items():
        owner, held_in_parts, inside = key.partition(".parametrizations.")
        name = f"{owner}.{inside.partition('.')[0]}" if held_in_parts else key
        if held_in_parts and name not in found:
            module = net.get_submodule(owner)
            value = getattr(module, name.rpartition(".")[2]).detach()  # noqa: PLW2901
        found.setdefault(name, value)
    return found


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
    """Say whether one of the names is this key, a path that holds it, or a glob that fits it."""
    return any(key == name or key.startswith(name + ".") or fnmatchcase(key, name) for name in names)


def _kind(key: str, tensor: Tensor | None, target: Tensor, rules: Rules) -> str:
    """Say what becomes of a tensor of the network."""
    if tensor is None and key.endswith(COUNTER):
        return "loaded"
    if tensor is not None and tensor.shape == target.shape:
        return "loaded"
    if tensor is not None and tensor.numel() == target.numel() and is_named(key, rules.reshape):
        return "reshaped"
    if is_named(key, (rules.head,)) or (tensor is not None and _is_by_class(tensor, target, rules)):
        return "fresh"
    if is_named(key, rules.allow_missing):
        return "missing"
    return "lacking" if tensor is None else "misshapen"


def _is_by_class(tensor: Tensor, target: Tensor, rules: Rules) -> bool:
    """Say whether two shapes differ in the number of classes alone, as in a second head for training."""
    if rules.known_classes is None or tensor.dim() == 0 or tensor.shape[1:] != target.shape[1:]:
        return False
    return tensor.shape[0] == rules.known_classes and target.shape[0] == rules.classes


def _is_dropped(key: str, rules: Rules, fresh: list[str]) -> bool:
    """Say whether a tensor of the file belongs to a head that is made anew."""
    return is_named(key, (rules.head,)) and any(is_named(name, (rules.head,)) for name in fresh)


def _parent(key: str) -> str:
    return key.rpartition(".")[0]


def _pattern(old: str) -> re.Pattern[str]:
    start = r"(^)" if old.startswith("^") else r"(^|\.)"
    return re.compile(start + re.escape(old.removeprefix("^")) + r"(\.|$)")


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"
