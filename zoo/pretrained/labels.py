"""The names of the classes that pretrained weights tell apart."""

from __future__ import annotations

from zoo.errors import WeightsError
from zoo.pretrained.card import find_card
from zoo.pretrained.sources import find_entry, find_source
from zoo.spec.inherit import find_weight_file
from zoo.spec.spec import Spec


def find_labels(spec: Spec, name: str) -> tuple[str, ...]:
    """Return the names of the classes of an entry of a spec's weights, in the order of the outputs.

    They are those that the entry states, else those of its card or publisher. A class of ImageNet has several
    names, separated by commas: `n01440764, tench, Tinca tinca`.

    Raises: WeightsError where no names are known, or not one for each class.
    """
    entry, source = find_entry(spec, name), find_source(spec, name)
    labels, key = tuple(entry.labels), f"weights.{name}.labels"
    if not labels and entry.file is not None:
        card = find_card(find_weight_file(entry.file, spec.path.parent))
        labels = tuple(card.labels) if card else ()
    elif not labels and (entry.timm or entry.torchvision):
        labels = _imagenet_labels(entry.timm, source.classes)
    if not labels:
        raise WeightsError(
            f"{spec.path}, weights {name}: the names of their classes are not known\n"
            f"  expected: {key}: [NAME, …] in the spec, in the order of the network's outputs"
        )
    classes = source.classes or spec.classes
    if len(labels) != classes:
        raise WeightsError(f"{spec.path}: {key} has {len(labels)} names for {classes} classes")
    return labels


def _imagenet_labels(timm_name: str | None, classes: int | None) -> tuple[str, ...]:
    """Return the classes of ImageNet that weights of timm or torchvision have, () for other classes."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    from zoo.catalog.timm_networks import find_settings

    settings = find_settings(timm_name).to_dict() if timm_name else {"num_classes": classes}
    subset = infer_imagenet_subset(settings)
    if subset is None:
        return ()
    info = ImageNetInfo(subset)
    names = zip(info.label_names(), info.label_descriptions(), strict=True)
    return tuple(f"{synset}, {description}" for synset, description in names)
