"""The networks of torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from zoo.spec.header import Input, TrainedInput, WeightsEntry

# With weights, torchvision makes these networks normalise their input again; built here, they do not.
OWN_INPUT = {"GoogLeNet": 0.5, "Inception": 0.5}
LISTED = "torchvision.models.list_models()"
COLOURS = 3
SEVERAL_HEADS = {"lraspp_mobilenet_v3_large": "classifier"}  # the logits are the sum of two layers


class Segmenter(nn.Module):
    """A segmentation network of torchvision that returns only the map of logits; its keys stay the same."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.backbone = net.get_submodule("backbone")
        self.classifier = net.get_submodule("classifier")
        self.takes_all = isinstance(net, models.segmentation.LRASPP)

    def forward(self, x: Tensor) -> Tensor:
        """In: (N, 3, H, W). Out: (N, classes, H, W)."""
        features = self.backbone(x)
        logits = self.classifier(features if self.takes_all else features["out"])
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)


@cache
def names() -> tuple[str, ...]:
    """Return the names of the classification and segmentation networks."""
    return (*models.list_models(module=models), *segmentation_names())


def reason_unavailable(name: str, task: str, *, dense: bool) -> str:
    """Return why a network does not fit a task: its output's shape, or a tag in its name."""
    if name not in names():
        return f"torchvision has no network '{name}': name its weights under weights"
    if (name in segmentation_names()) == dense:
        return ""
    return f"{name} answers for every {'image' if dense else 'pixel'}, but the task is {task}"


def input(name: str) -> TrainedInput:  # noqa: A001
    """Return the preprocessing of its default weights."""
    return input_of(weights_of(name)[0])


def weights(name: str) -> Mapping[str, WeightsEntry]:
    """Return an entry for every member of its enum with classes; `default` is torchvision's default."""
    full = {member.name.lower(): str(member) for member in weights_of(name) if member.meta.get("categories")}
    default = next(iter(full.values()), None)
    entries = {} if default is None else {"default": WeightsEntry(torchvision=default)}
    return entries | {tag: WeightsEntry(torchvision=member) for tag, member in full.items()}


def build(name: str, size: Input, classes: int) -> nn.Module:
    """Build it without auxiliary outputs; vision transformers for the size of the spec."""
    if size.channels != COLOURS:
        raise ValueError("torchvision's networks take 3 channels")
    options: dict[str, Any] = {}
    if name.startswith("vit_"):
        if size.height != size.width:
            raise ValueError("its images must be square")
        options["image_size"] = size.height
    net = build_model(name, num_classes=classes, **options)
    return Segmenter(net) if name in segmentation_names() else net


def head(name: str, net: nn.Module) -> str:
    """Return the path of the last layer with weights."""
    if name in SEVERAL_HEADS:
        return SEVERAL_HEADS[name]
    modules = net.named_modules()
    paths = [path for path, module in modules if any(True for _ in module.parameters(recurse=False))]
    return str(paths[-1])


def stages(net: nn.Module) -> tuple[str, ...]:
    """Return no stages: torchvision declares none."""
    return ()


@cache
def segmentation_names() -> tuple[str, ...]:
    """Return the names of torchvision's segmentation networks."""
    return tuple(models.list_models(module=models.segmentation))


def weights_of(model: str) -> tuple[type[Any], ...]:
    """Return the members of a model's enum of weights, the default one first."""
    enum = models.get_model_weights(model)
    return tuple(dict.fromkeys((enum.DEFAULT, *enum))) if len(enum) else ()


def input_of(weights: Any) -> TrainedInput:  # noqa: ANN401
    """Return torchvision's preprocessing; its crop is about 7/8 of our centre crop."""
    transforms, family = weights.transforms(), type(weights).__name__
    crop = getattr(transforms, "crop_size", None)
    size = (crop or transforms.resize_size)[0]
    mean, std = list(transforms.mean), list(transforms.std)
    for start, half in OWN_INPUT.items():
        if family.startswith(start):
            mean, std = [half] * 3, [half] * 3
    return TrainedInput(height=size, width=size, resize="crop" if crop else "squash", mean=mean, std=std)


def build_model(name: str, **options: Any) -> nn.Module:  # noqa: ANN401
    """Build a network of torchvision without weights and without auxiliary outputs."""
    builder = models.get_model_builder(name)
    if name in segmentation_names():
        options |= {"weights_backbone": None}
        options |= {} if name.startswith("lraspp") else {"aux_loss": False}
    if name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "transform_input": False, "init_weights": True}
    net: nn.Module = builder(weights=None, **options)
    return net
