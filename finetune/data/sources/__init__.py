"""One file per source of images; importing this package registers them."""

from finetune.data.sources import builtin, folder, label_table, masks, table

__all__ = ["builtin", "folder", "label_table", "masks", "table"]
