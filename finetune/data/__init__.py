"""Sources of images, and the splits of images and targets that they are turned into."""

from finetune.data import sources
from finetune.data.images import ArrayImage, DataError, FileImage, ImageSource
from finetune.data.scan import Broken
from finetune.data.source import SPLITS
from finetune.data.splits import Split, Splits, load_splits, read_splits

__all__ = [
    "SPLITS",
    "ArrayImage",
    "Broken",
    "DataError",
    "FileImage",
    "ImageSource",
    "Split",
    "Splits",
    "load_splits",
    "read_splits",
    "sources",
]
