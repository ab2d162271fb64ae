"""Choices of a spec that take the meaning from pretrained weights: another norm, another activation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from zoo.errors import GraftError
from zoo.spec.spec import Spec, read_spec

STATISTICS = ".running_mean"  # marks a batch norm
SHOWN = 6
SYNONYMS = {"swish": "silu"}


def swapped_norms(found: Iterable[str], wanted: Iterable[str], net: nn.Module) -> frozenset[str]:
    """Give the paths of norms that are batch norms in the file or in the network, but not in both.

    Where one side has no norm at all, those of the other are swapped too. `found` and `wanted` are the keys
    of file and network.
    """
    keys = set(found)
    theirs, ours = _batch_norms(keys), _batch_norms(wanted)
    modules = dict(net.named_modules())
    norms = {path for path, module in modules.items() if _is_norm(module)}
    swapped = {path for path in theirs - ours if path in norms or (path not in modules and not ours)}
    swapped |= {path for path in ours - theirs if f"{path}.weight" in keys}
    if not any(key.rpartition(".")[0] in norms for key in keys):
        swapped |= norms
    return frozenset(swapped)


def norm_warning(spec: Spec, skipped: Iterable[str]) -> str:
    """Say that norms start fresh, and which."""
    return (
        f"choices.norm is {spec.choices.norm.op}, which is not what these weights were trained with: "
        f"not loaded: {some_of(dict.fromkeys(key.rpartition('.')[0] for key in skipped))}"
    )


def activation_warning(
    spec: Spec, net: nn.Module, reference: nn.Module | None, said: Mapping[str, str]
) -> str | None:
    """Say that a declared network has activations that its weights were not trained with; None if it has not.

    `reference` is the network that they were trained in, `said` the choices that a card tells of. Without
    either, the spec's file is asked: what it says itself, before anything was overridden.
    """
    if spec.layers is None:
        return None
    if reference is not None:
        trained, ours = _activations(reference), _activations(net)
    else:
        written = said.get("act") or _written_activation(spec)
        trained, ours = {written} if written else set(), {spec.choices.act.op}
    if not trained or ours <= trained:
        return None
    return (
        f"choices.act is {spec.choices.act.op}, and these weights were trained with "
        f"{' and '.join(sorted(trained))}: they are loaded, but mean little before training"
    )


def _written_activation(spec: Spec) -> str | None:
    try:
        return read_spec(spec.path).choices.act.op
    except GraftError:  # the file has gone, or was only right with what overrides it
        return None


def some_of(names: Iterable[str], most: int = SHOWN) -> str:
    """Give the first names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _batch_norms(keys: Iterable[str]) -> set[str]:
    return {key.removesuffix(STATISTICS) for key in keys if key.endswith(STATISTICS)}


def _is_norm(module: nn.Module) -> bool:
    norms = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
    return isinstance(module, norms) and any(True for _ in module.parameters())


def _activations(net: nn.Module) -> set[str]:
    """Give the kinds of activations in a network, attention and what has weights aside."""
    names = set()
    for module in net.modules():
        home = type(module).__module__
        known = home == "torch.nn.modules.activation" or home.startswith("timm.layers.activations")
        if known and not any(True for _ in module.parameters()):
            name = type(module).__name__.lower()
            names.add(SYNONYMS.get(name, name))
    return names
