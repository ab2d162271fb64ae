"""Choices of a spec that make pretrained weights meaningless: another norm, another activation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from zoo.errors import GraftError
from zoo.spec.read import parse_spec
from zoo.spec.spec import Spec

STATISTICS = ".running_mean"  # only batch norms have it
SHOWN = 6
SYNONYMS = {"swish": "silu"}


def swapped_norms(found: Iterable[str], targets: Iterable[str], net: nn.Module) -> frozenset[str]:
    """Return the paths of norms that are batch norms in the file or in the network, but not in both.

    Where one side has no norm at all, those of the other are swapped too. `found` and `targets` are the keys
    of the file and of the network.
    """
    keys = set(found)
    in_file, in_net = _batch_norms(keys), _batch_norms(targets)
    modules = dict(net.named_modules())
    norms = {path for path, module in modules.items() if _is_norm(module)}
    swapped = {path for path in in_file - in_net if path in norms or (path not in modules and not in_net)}
    swapped |= {path for path in in_net - in_file if f"{path}.weight" in keys}
    if not any(key.rpartition(".")[0] in norms for key in keys):
        swapped |= norms
    return frozenset(swapped)


def norm_warning(spec: Spec, skipped: Iterable[str]) -> str:
    """Return the warning that some norms are not loaded."""
    return (
        f"choices.norm is {spec.choices.norm.op}, but these weights were trained with another norm; "
        f"not loaded: {some_of(dict.fromkeys(key.rpartition('.')[0] for key in skipped))}"
    )


def activation_warning(
    spec: Spec, net: nn.Module, reference: nn.Module | None, choices: Mapping[str, str]
) -> str | None:
    """Return the warning that a declared network has activations that its weights were not trained with.

    `reference` is the network that they were trained in, `choices` those on their card. Without either, the
    weights are assumed to be trained with the activation in the spec's file, before any override.
    """
    if spec.layers is None:
        return None
    if reference is not None:
        trained, actual = _activations(reference), _activations(net)
    else:
        written = choices.get("act") or _written_activation(spec)
        trained, actual = {written} if written else set(), {spec.choices.act.op}
    if not trained or actual <= trained:
        return None
    return (
        f"choices.act is {spec.choices.act.op}, but these weights were trained with "
        f"{' and '.join(sorted(trained))}; they are loaded, but need training to be of use"
    )


def _written_activation(spec: Spec) -> str | None:
    try:
        return parse_spec(spec.path).choices.act.op
    except GraftError:  # the file was removed, or is valid only with the overrides
        return None


def some_of(names: Iterable[str], most: int = SHOWN) -> str:
    """Return the first names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _batch_norms(keys: Iterable[str]) -> set[str]:
    return {key.removesuffix(STATISTICS) for key in keys if key.endswith(STATISTICS)}


def _is_norm(module: nn.Module) -> bool:
    norms = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
    return isinstance(module, norms) and any(True for _ in module.parameters())


def _activations(net: nn.Module) -> set[str]:
    """Return the kinds of activations in a network, except attention and those with weights."""
    names = set()
    for module in net.modules():
        home = type(module).__module__
        known = home == "torch.nn.modules.activation" or home.startswith("timm.layers.activations")
        if known and not any(True for _ in module.parameters()):
            name = type(module).__name__.lower()
            names.add(SYNONYMS.get(name, name))
    return names
