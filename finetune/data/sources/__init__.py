"""One file per source of images; importing this package registers them."""

from finetune.data.sources import builtin, folder, masks, table

__all__ = ["builtin", "folder", "masks", "table"]
