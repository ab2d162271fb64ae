"""Images that the scan decodes are kept at the network's size, so that no other part decodes them again."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from finetune.data.slabs import Slabs

if TYPE_CHECKING:
    from torch import Tensor

    from finetune.transforms.preprocess import Preprocess


class DecodedImages:
    """Resized images by the digest of their content, until each is taken; at most `limit_bytes` of them."""

    def __init__(self) -> None:
        self.preprocess: Preprocess | None = None
        self.limit_bytes = 0
        self._kept: dict[str, Tensor] = {}
        self._slabs = Slabs(())
        self._lock = Lock()

    def start(self, preprocess: Preprocess | None, limit_bytes: int) -> None:
        """Keep what is decoded from now on at this size, and nothing of before; without a size, nothing."""
        with self._lock:
            self._kept.clear()
            self.preprocess, self.limit_bytes = preprocess, limit_bytes
            self._slabs = Slabs(() if preprocess is None else (3, preprocess.height, preprocess.width))

    def keep(self, digest: str, pixels: NDArray[np.uint8]) -> None:
        """Resize and keep an image, RGB (H, W, 3), where a size was stated and there is room."""
        preprocess = self.preprocess
        if preprocess is None:
            return
        image_bytes = 3 * preprocess.height * preprocess.width
        if (len(self._kept) + 1) * image_bytes > self.limit_bytes:
            return
        resized = self._slabs.add(resize(pixels, preprocess))
        with self._lock:
            self._kept[digest] = resized

    def take(self, digest: str, preprocess: Preprocess) -> Tensor | None:
        """Return an image, uint8 (3, height, width), and keep it no longer; None where it is not here."""
        with self._lock:
            if self.preprocess is None or _size(self.preprocess) != _size(preprocess):
                return None
            return self._kept.pop(digest, None)


DECODED = DecodedImages()


def resize(pixels: NDArray[np.uint8], preprocess: Preprocess) -> Tensor:
    """Return an image, RGB (H, W, 3), at the network's size: uint8 (3, height, width)."""
    import torch  # not needed to find images

    return preprocess.resize(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]


def _size(preprocess: Preprocess) -> tuple[int, int, str]:
    return preprocess.height, preprocess.width, preprocess.rule
