"""Every entry of weights that a spec of the zoo declares fits its network, checked on the meta device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.segmentation import fcn_resnet50

import zoo
from zoo.builder.network import build_network
from zoo.pretrained.load import rules_for
from zoo.pretrained.match import match_tensors
from zoo.pretrained.sources import find_source
from zoo.pretrained.sources.torchvision import OLD_KEYS
from zoo.spec.inherit import SPECS


def read_header(path: Path) -> Mapping[str, zoo.WeightsEntry]:
    """Return the weights of a spec with layers; those of other libraries' networks are tested elsewhere."""
    return {} if "model: {" in path.read_text() else zoo.read_spec(path).weights


CASES = [
    (path.stem, name)
    for path in sorted(SPECS.glob("*.yaml"))
    for name, entry in read_header(path).items()
    if entry.torchvision
]
CHANGES = {"imagenet1k_bn_v1": {"choices.norm": "batch_norm"}}  # VGG with batch norm
BUILT_LATER = {"fcn8s", "fcn16s", "fcn32s"}  # parts that VGG16 has not


def published(spec: zoo.Spec, name: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return the publisher's network and its tensors under the names in the published file."""
    source = find_source(spec, name)
    assert source.reference is not None
    reference = source.reference()
    if spec.name == "fcn_resnet50":
        with torch.device("meta"):  # what is published has the auxiliary head that a reference goes without
            reference = fcn_resnet50(weights=None, weights_backbone=None, aux_loss=True)
    old = {new: before for keys in OLD_KEYS.values() for before, new in keys.items()} if source.rename else {}
    tensors = {}
    for key, tensor in reference.state_dict().items():
        inside = "denselayer" in key
        for new, before in old.items():
            key = key.replace(f".{new}.", f".{before}.") if inside else key  # noqa: PLW2901
        tensors[key] = tensor
    return reference, tensors


def test_there_are_entries_to_test() -> None:
    assert len(CASES) > 20


@pytest.mark.parametrize(("stem", "name"), CASES)
def test_published_weights_fit(stem: str, name: str) -> None:
    spec = zoo.read_spec(stem, CHANGES.get(name, {}))
    net = build_network(spec).net
    _, tensors = published(spec, name)
    match = match_tensors(tensors, net, rules_for(spec, net, name, spec.classes))
    assert match.fits, (match.missing_keys, match.unexpected_keys, match.mismatched_keys)
    assert not match.audit.skipped
    if stem not in BUILT_LATER:
        assert set(match.copies) == set(net.state_dict())
    else:
        assert match.audit.reshaped == ("fc6.weight", "fc7.weight")
        assert all(key.startswith(("score", "upscore")) for key in (*match.audit.fresh, *match.audit.missing))


@pytest.mark.parametrize(("stem", "name"), [("resnet18", "imagenet1k_v1"), ("fcn_resnet50", "coco_voc_v1")])
def test_other_classes_leave_every_head_fresh(stem: str, name: str) -> None:
    spec = zoo.read_spec(stem)
    net = build_network(spec, 5).net
    _, tensors = published(spec, name)
    match = match_tensors(tensors, net, rules_for(spec, net, name, 5))
    assert match.fits
    heads = {key.rpartition(".")[0] for key in match.audit.fresh}
    assert heads == ({"fc"} if stem == "resnet18" else {"classifier.4", "aux_classifier.4"})


def test_weights_for_another_norm_do_not_fit() -> None:
    spec = zoo.read_spec("vgg11")
    net = build_network(spec).net
    _, tensors = published(spec, "imagenet1k_bn_v1")
    assert not match_tensors(tensors, net, rules_for(spec, net, "imagenet1k_bn_v1", 1000)).fits


def test_a_reference_does_not_change_the_random_state() -> None:
    before = torch.random.get_rng_state()
    published(zoo.read_spec("resnet18"), "imagenet1k_v1")
    assert torch.equal(torch.random.get_rng_state(), before)
