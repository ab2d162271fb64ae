"""A sheet of pictures that shows what each augmentation step does to some images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from finetune.runtime.seeds import derive_seed, keep_random_state
from finetune.transforms.augment import build_augment
from finetune.transforms.augmentations import Transform
from finetune.transforms.statistics import Statistics
from zoo.registry import Call

DRAWS = 8
TILE_PX = 72  # smaller images are enlarged to this at least
GAP_PX, LABEL_PX, LINE_PX, FONT_PX = 4, 180, 15, 12
INK, PAPER = (30, 30, 30), 255


def augment_sheet(
    images: Sequence[Tensor], calls: Sequence[Call], statistics: Statistics | None, seed: int
) -> Image.Image:
    """Draw a row for each image and step, and for all steps together: the original, then eight draws.

    A single step is drawn with probability 1, all together with the probabilities of the spec. The same seed
    gives the same sheet. In: images, each uint8 (3, height, width), of one size.
    """
    from torchvision.utils import make_grid

    height, width = (int(side) for side in images[0].shape[-2:])
    steps = [*([Call(call.op, {**call.args, "p": 1.0})] for call in calls), calls]
    transforms = [build_augment(step, size=(height, width), statistics=statistics) for step in steps]
    factor = -(-TILE_PX // max(height, width))
    tiles = [
        tile.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        for row, transform in enumerate(transforms)
        for i, image in enumerate(images)
        for tile in (image, *draw_augmented(image, transform, derive_seed(seed, row, i)))
    ]
    grid = make_grid(tiles, nrow=DRAWS + 1, padding=GAP_PX, pad_value=PAPER).permute(1, 2, 0)
    sheet = Image.new("RGB", (LABEL_PX + grid.shape[1], LINE_PX + grid.shape[0]), (PAPER,) * 3)
    sheet.paste(Image.fromarray(grid.numpy()), (LABEL_PX, LINE_PX))
    _write(sheet, ["original"], LABEL_PX + GAP_PX, 0)
    _write(sheet, ["eight draws"], LABEL_PX + width * factor + 2 * GAP_PX, 0)
    labels = [_label(call) for call in calls] + [["all together" if calls else "no augmentation"]]
    for row, label in enumerate(labels):
        _write(sheet, label, GAP_PX, LINE_PX + GAP_PX + row * len(images) * (height * factor + GAP_PX))
    return sheet


def draw_augmented(image: Tensor, transform: Transform, seed: int) -> list[Tensor]:
    """Return eight draws of a transform. Torch's random state does not change."""
    with keep_random_state(image.device):
        torch.manual_seed(seed)
        return [transform(image) for _ in range(DRAWS)]


def _label(call: Call) -> list[str]:
    arguments = [
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in call.args.items()
    ]
    return [call.op, *arguments]


def _write(picture: Image.Image, lines: list[str], left: int, top: int) -> None:
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(FONT_PX)
    for i, line in enumerate(lines):
        draw.text((left, top + i * LINE_PX), line, INK, font=font)
