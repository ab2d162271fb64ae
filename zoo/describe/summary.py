"""What is said of a network above and below its table: input, choices, weights, what parameters start as."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from zoo.describe.description import Description
from zoo.describe.wording import call_in_words, counted
from zoo.spec.header import Input
from zoo.spec.items import NONE
from zoo.spec.spec import Spec

SLOTS = ("norm", "act", "drop", "input_drop")
PLURALS = {"weight": "weights", "bias": "biases"}


def heading(description: Description) -> Iterator[tuple[str, str]]:
    """Give what stands above the table, as names and texts."""
    spec = description.spec
    if spec.source:
        yield "source", spec.source
    yield "task", f"{spec.task}, {spec.classes:,} classes"
    yield "input", input_in_words(spec.input)
    if spec.model is None:
        yield "choices", ", ".join(f"{slot} {call_in_words(spec.choices.of(slot))}" for slot in _slots(spec))
    else:
        library = "timm" if spec.model.timm else "torchvision"
        yield "model", f"{spec.model.timm or spec.model.torchvision} of {library}"
    yield "stages", ", ".join(description.stages) or NONE
    yield "head", description.head or NONE
    yield "weights", ", ".join(spec.weights) or "none declared"


def totals(description: Description) -> str:
    """Give what the network comes to, in one line."""
    return ", ".join(
        (
            counted(len(description.layers), "layer"),
            counted(description.params, "parameter"),
            f"{description.macs:,} multiply-adds (MACs) an image",
            f"{description.state_mb:.1f} MB of weights in float32",
        )
    )


def starts(description: Description) -> Iterator[tuple[str, str]]:
    """Give each way that parameters start, with what starts so: 'weights of 20 conv'."""
    found: dict[str, Counter[tuple[str, str]]] = {}
    for row in description.layers:
        for name, call in row.init.items():
            found.setdefault(call, Counter())[name, row.kind] += 1
    for call, places in found.items():
        told = (
            f"{name if count == 1 else PLURALS[name]} of {count} {kind}"
            for (name, kind), count in places.items()
        )
        yield call, ", ".join(told)


def input_in_words(size: Input) -> str:
    """Give size and preprocessing: `3x224x224, resize squash, mean 0.485 0.456 0.406, std …`."""
    words = [f"{size.channels}x{size.height}x{size.width}", f"resize {size.resize}"]
    if size.multiple_of > 1:
        words.append(f"height and width multiples of {size.multiple_of}")
    words.append(f"mean {_numbers(size.mean)}" if size.mean else "mean and std of the weights or the data")
    if size.std:
        words.append(f"std {_numbers(size.std)}")
    return ", ".join(words)


def _slots(spec: Spec) -> tuple[str, ...]:
    return SLOTS if spec.choices.input_drop.op != NONE else SLOTS[:-1]


def _numbers(values: list[float] | None) -> str:
    return " ".join(f"{value:g}" for value in values or ())
