"""Which test images a page shows: those behind the confusion matrix, the worst errors, the least familiar."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from finetune.data.subset import read_rows
from finetune.data.thumbnail import embed_image, embed_pixels
from finetune.experiment.setup import Setup
from finetune.report.page.heatmap import draw_heat
from finetune.report.page.paint import overlay_heat, paint_mask
from finetune.report.tested import Tested

MATRIX_CLASSES = 20
"""With more classes, the most frequent confusions are listed instead of a matrix."""
CELL_PICTURES, ALL_PICTURES = 6, 160
WORST, UNLIKE, MASKED = 12, 6, 6


@dataclass(frozen=True)
class Shown:
    """An image on the page: its name, picture, true class, answer and its probability, and a heatmap."""

    name: str
    picture: Markup
    truth: str
    answer: str
    probability: float
    heat: Markup | None = None


@dataclass(frozen=True)
class Cell:
    """The images of one class that got one answer; `shade` is the share of the class, from 0 to 1."""

    truth: int
    answer: int
    count: int
    shade: float
    pictures: tuple[Shown, ...]


class Gallery:
    """Makes pictures of test images, each once."""

    def __init__(self, setup: Setup, net: nn.Module, tested: Tested) -> None:
        self.setup, self.net, self.tested = setup, net, tested
        self.probabilities = tested.probabilities
        self.targets = np.asarray(tested.images.split.targets)
        self.answers = self.probabilities.argmax(1)
        self._made: dict[int, Shown] = {}

    def show(self, row: int) -> Shown:
        """Return a test image as it is shown."""
        if row not in self._made:
            image, classes = self.tested.images.split.images[row], self.setup.classes
            answer = int(self.answers[row])
            self._made[row] = Shown(
                image.key,
                embed_image(image),
                classes[int(self.targets[row])],
                classes[answer],
                float(self.probabilities[row, answer]),
            )
        return self._made[row]

    def worst(self) -> list[Shown]:
        """Return the wrong answers of the highest probability, with heatmaps of what decided."""
        wrong = np.flatnonzero(self.answers != self.targets)
        sure = self.probabilities[wrong, self.answers[wrong]]
        rows = wrong[np.argsort(-sure, kind="stable")][:WORST]
        return [
            Shown(one.name, one.picture, one.truth, one.answer, one.probability, heat)
            for one, heat in zip(map(self.show, rows.tolist()), self._heat(rows), strict=True)
        ]

    def unlike(self) -> list[Shown]:
        """Return the images that are most unlike the training images, if any is above the threshold."""
        scores = self.tested.unknown
        if scores is None:
            return []
        rows = np.argsort(-scores, kind="stable")[:UNLIKE]
        return [self.show(int(row)) for row in rows if scores[row] > 1]

    def cells(self) -> list[Cell]:
        """Return the cells of the confusion matrix that hold images: the wrong answers first, most first."""
        places: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row, pair in enumerate(zip(self.targets.tolist(), self.answers.tolist(), strict=True)):
            places[pair].append(row)
        sizes = np.bincount(self.targets, minlength=len(self.setup.classes))
        order = sorted(places, key=lambda pair: (pair[0] == pair[1], -len(places[pair]), pair))
        left, cells = ALL_PICTURES, []
        for pair in order:
            rows = places[pair][: min(CELL_PICTURES, left)]
            left -= len(rows)
            count = len(places[pair])
            pictures = tuple(map(self.show, rows))
            cells.append(Cell(*pair, count, count / int(sizes[pair[0]]), pictures))
        return cells

    def _heat(self, rows: NDArray[np.int64]) -> list[Markup | None]:
        if self.tested.out_of_fold or not len(rows):  # other networks gave these answers
            return [None] * len(rows)
        pixels, _ = read_rows(self.tested.images, rows)
        images = self.setup.preprocess.normalise(pixels)
        maps = draw_heat(self.net, images, self.answers[rows].tolist(), self.setup.anatomy.stages)
        if maps is None:
            return [None] * len(rows)
        shown = pixels.permute(0, 2, 3, 1).numpy()
        return [embed_pixels(overlay_heat(one, heat)) for one, heat in zip(shown, maps, strict=True)]


def show_masks(setup: Setup, net: nn.Module, tested: Tested) -> list[tuple[str, Sequence[Markup]]]:
    """Return some images of a segmenter: name, and the picture, its mask and its answer."""
    rows = np.linspace(0, len(tested.images) - 1, min(MASKED, len(tested.images))).round().astype(np.int64)
    pixels, masks = read_rows(tested.images, rows)
    answers = net(setup.preprocess.normalise(pixels)).argmax(1).byte()
    size, ignored = answers.shape[1:], setup.task.ignore_index
    shown: list[tuple[str, Sequence[Markup]]] = []
    for row, image, mask, answer in zip(rows, pixels, masks, answers, strict=True):
        picture = image.permute(1, 2, 0).numpy()
        small = np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.NEAREST))
        truth = mask.byte().numpy()
        shown.append(
            (
                tested.images.split.images[int(row)].key,
                (
                    embed_pixels(picture),
                    embed_pixels(paint_mask(picture, truth, ignored)),
                    embed_pixels(paint_mask(small, answer.numpy(), None)),
                ),
            )
        )
    return shown
