"""Classification: one probability per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.tasks.base import Output, Task, register
from serve.tasks.comparison import CLEAR_MARGIN, Difference, Pair, Parity


@register
class Classification(Task):
    """The output is float32 (batch, classes); each row sums to 1."""

    name = "classification"
    output = Output("probabilities", "tensor(float)", 2)
    score = ("accuracy", "accuracy")
    value_name = "probability"

    def values(self, output: NDArray[Any], _classes: int) -> NDArray[np.floating[Any]]:
        return output

    def check_shape(self, shape: Sequence[int | str | None], labels: Sequence[str]) -> str:
        return "" if shape[-1] == len(labels) else f"{len(labels)} labels for {shape[-1]} classes"

    def check_output(self, output: NDArray[Any], images: Sequence[int], classes: int) -> str:
        """Every row is one finite number per class."""
        if output.shape != (images[0], classes):
            return f"it answers {output.shape} for {images[0]} image(s) of {classes} classes"
        return "" if np.isfinite(output).all() else "it answers numbers that are not finite"

    def compare(self, pair: Pair, labels: Sequence[str]) -> Difference:
        """Compare every probability, and the best class where it is clear."""
        clear = bool(pair.margin > CLEAR_MARGIN)
        before, after = labels[int(pair.expected.argmax())], labels[int(pair.actual.argmax())]
        fault = f"{before!r} became {after!r}" if clear and before != after else ""
        return Difference(pair.name, clear, float(np.abs(pair.actual - pair.expected).max()), fault)

    def summary(self, parity: Parity) -> str:
        """Give the number of equal answers, and of those that are too close to call."""
        same, close = parity.compared - parity.top1_differences, parity.images - parity.compared
        return f"the exported file gives the same answers on {same} of {parity.compared} images" + (
            f" ({close} more are too close to call)" if close else ""
        )
