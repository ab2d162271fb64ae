"""The sentences at the head of a page: what was asked, what came, and how certain that is."""

from __future__ import annotations

import math

from finetune.experiment.setup import Setup
from finetune.records.estimate import Z_95
from finetune.records.report import Report, StartingWeights
from finetune.report.show import describe_uses, format_result
from finetune.strategies import find_strategy


def describe_run(setup: Setup, report: Report) -> str:
    """Return one paragraph: the network, the images, what was trained, the result."""
    images = report.images
    total = images.train + images.val + images.test
    start = (
        f"which started from pretrained weights ({report.weights.name})"
        if isinstance(report.weights, StartingWeights)
        else "which started from random weights"
    )
    result = format_result(report)
    strategy = find_strategy(report.strategy).description
    splits = describe_uses(setup, images.train, images.val, images.test)
    return (
        f"The network {report.spec}, {start}, learned {len(setup.classes):,} classes from {total:,} images "
        f"of {find_source(setup)}: {splits}. The strategy was {report.strategy}: {strategy}. "
        f"{result[0].upper()}{result[1:]}."
    )


def find_source(setup: Setup) -> str:
    """Return the folder, table or data set that the images come from."""
    return str(getattr(setup.data, setup.data.source))


def describe_size(report: Report) -> str:
    """Return what a test of this size can tell at all; empty for a metric that is no share of the images."""
    count, accuracy = report.measured_images, report.intervals.get("accuracy")
    if accuracy is None or not count:
        return ""
    middle = (accuracy.value * count + 1) / (count + 2)
    error = math.sqrt(middle * (1 - middle) / count)
    least = 100 * Z_95 * math.sqrt(2) * error
    return (
        f"With {count:,} images, the accuracy on new images of this kind is known to about "
        f"{100 * Z_95 * error:.1f} points either way. Another model, tested on as many other images, is "
        f"better or worse for certain only if it differs by about {least:.0f} points or more."
    )
