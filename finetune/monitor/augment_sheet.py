"""A sheet of pictures that shows what each augmentation step does to some images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from finetune.runtime.seeds import derive_seed
from finetune.transforms.augment import build_augment
from finetune.transforms.augmentations import Transform
from finetune.transforms.statistics import Statistics
from zoo.registry import Call

DRAWS = 8
TILE_PX = 72  # smaller images are enlarged to this at least
GAP_PX = 4
LABEL_PX = 180
LINE_PX = 15
FONT_PX = 12
INK, PAPER = (30, 30, 30), (255, 255, 255)


def augment_sheet(
    images: Sequence[Tensor], calls: Sequence[Call], statistics: Statistics | None, seed: int
) -> Image.Image:
    """Draw a row for each image and step, and for all steps together: the original, then eight draws.

    A single step is drawn with probability 1, all together with the probabilities of the spec. The same seed
    gives the same sheet. In: images, each uint8 (3, height, width), of one size.
    """
    height, width = images[0].shape[-2:]
    size = (int(height), int(width))

    def build(steps: Sequence[Call]) -> Transform:
        return build_augment(steps, size=size, statistics=statistics)

    rows = [(_label(call), build([Call(call.op, {**call.args, "p": 1.0})])) for call in calls]
    rows.append((["all together" if calls else "no augmentation"], build(calls)))
    strips = [
        _strip(label if i == 0 else [], image, transform, derive_seed(seed, row, i))
        for row, (label, transform) in enumerate(rows)
        for i, image in enumerate(images)
    ]
    return _stack([_header(strips[0].width, _tile_size(*size)[1]), *strips])


def draw_augmented(image: Tensor, transform: Transform, seed: int) -> list[Tensor]:
    """Return eight draws of a transform. Torch's random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return [transform(image) for _ in range(DRAWS)]


def _label(call: Call) -> list[str]:
    arguments = [
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in call.args.items()
    ]
    return [call.op, *arguments]


def _strip(label: list[str], image: Tensor, transform: Transform, seed: int) -> Image.Image:
    tiles = [_tile(each) for each in (image, *draw_augmented(image, transform, seed))]
    high, wide = _tile_size(*image.shape[-2:])
    strip = Image.new(
        "RGB", (LABEL_PX + len(tiles) * (wide + GAP_PX), max(high, len(label) * LINE_PX) + GAP_PX), PAPER
    )
    _write(strip, label, GAP_PX, 0)
    for i, tile in enumerate(tiles):
        strip.paste(tile, (LABEL_PX + i * (wide + GAP_PX), 0))
    return strip


def _header(width: int, tile_width: int) -> Image.Image:
    header = Image.new("RGB", (width, LINE_PX + GAP_PX), PAPER)
    _write(header, ["original"], LABEL_PX, 0)
    _write(header, ["eight draws"], LABEL_PX + tile_width + GAP_PX, 0)
    return header


def _tile_size(height: int, width: int) -> tuple[int, int]:
    factor = -(-TILE_PX // max(height, width))
    return height * factor, width * factor


def _tile(image: Tensor) -> Image.Image:
    pixels: NDArray[np.uint8] = image.permute(1, 2, 0).numpy()
    high, wide = _tile_size(*pixels.shape[:2])
    return Image.fromarray(pixels).resize((wide, high), Image.Resampling.NEAREST)


def _write(picture: Image.Image, lines: list[str], left: int, top: int) -> None:
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(FONT_PX)
    for i, line in enumerate(lines):
        draw.text((left, top + i * LINE_PX), line, INK, font=font)


def _stack(strips: Sequence[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips) + GAP_PX), PAPER)
    top = GAP_PX
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet
