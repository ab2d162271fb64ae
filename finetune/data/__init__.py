"""Sources of images -> splits of (image, target)."""

from finetune.data.errors import DataError
from finetune.data.images import ArrayImage, FileImage, ImageSource, TableImage
from finetune.data.load import load_splits, read_splits
from finetune.data.splits import Broken, Split, Splits

__all__ = [
    "ArrayImage",
    "Broken",
    "DataError",
    "FileImage",
    "ImageSource",
    "Split",
    "Splits",
    "TableImage",
    "load_splits",
    "read_splits",
]
