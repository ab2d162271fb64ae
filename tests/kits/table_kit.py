"""Small parquet files, and data sets as they are cloned from the hub."""

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from finetune.config.data import DataSettings


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(value).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, labels: list[Any], start: int = 0, **columns: list[Any]) -> Path:
    """A parquet file with an image a label, as the hub stores them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": png(start + i), "path": f"{i}.png"} for i in range(len(labels))]
    pq.write_table(pa.table({"image": cells, "label": labels, **columns}), path)
    return path


def settings(**values: object) -> DataSettings:
    return DataSettings.model_validate(
        {key: str(v) if isinstance(v, Path) else v for key, v in values.items()}
    )


def hub(folder: Path, labels: dict[str, list[int]], names: list[str]) -> Path:
    """A data set folder as it would be cloned from the hub, its labels named."""
    for k, (split, values) in enumerate(labels.items()):
        cells = [{"bytes": png(1000 * k + i), "path": None} for i in range(len(values))]
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
        table = datasets.Dataset.from_dict({"image": cells, "label": values}, features=features)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder
