"""The `data` section of a spec: where the images come from and how they are split."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from finetune.config.settings import Settings
from finetune.optim.ranges import Share

SOURCES = ("builtin", "folder", "parquet", "hub")
KEYS_OF_SOURCE = {"parquet": ("parquet_val", "parquet_test"), "hub": ("hub_config", "hub_revision")}
LOCATION_KEYS = {*SOURCES, *(key for keys in KEYS_OF_SOURCE.values() for key in keys), "class_names"}
"""The keys that say where the images are, as opposed to how they are read."""


class DataSettings(Settings):
    """One source of images, the shares for validation and test, and how the images are read.

    A split that the source provides (a `val/` folder, `parquet_val`, a split on the hub) is used. A missing
    one is taken from the training images, stratified by class. Paths may start with `~`; relative paths are
    relative to the working directory.
    """

    builtin: Literal["digits"] | None = None
    """Data set that needs no file: 1,797 handwritten digits."""
    folder: str | None = None
    """Folder with one folder per class, or with train/, val/ and test/ that contain such folders."""
    parquet: str | None = None
    """Glob of parquet files with an image column and a label column."""
    parquet_val: str | None = None
    """Glob of the parquet files for validation."""
    parquet_test: str | None = None
    """Glob of the parquet files for testing."""
    hub: str | None = None
    """Name of a data set on the Hugging Face hub."""
    hub_config: str | None = None
    """Configuration of the data set on the hub."""
    hub_revision: str | None = None
    """Commit or tag of the data set on the hub."""
    image_column: str = "image"
    """Column of the images, for parquet and hub."""
    label_column: str = "label"
    """Column of the labels, for parquet and hub."""
    class_names: str | None = None
    """JSON file with the list of class names, for parquet and hub."""
    val: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the images for validation."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share of the images for testing; 0: no test split."""
    max_broken: Share = 0.05
    """Highest share of images that cannot be read; a run with more does not start."""
    similarity: Literal["auto", "similar", "different"] = "auto"
    """Whether the images are similar to those that the weights were trained on; auto: measured."""
    normalise: Literal["auto", "weights", "training_set", "mean_image"] = "auto"
    """Mean and standard deviation of the pixels: those of the weights, or of each channel of the training
    set, or its mean image; auto: those of the weights, or without weights those of the training set."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that load images; 0: the main process."""
    cache_mb: Annotated[int, Field(ge=0)] = 2048
    """Memory for the resized images of a split, in MiB; the outputs of frozen stages may take as much
    again."""

    @model_validator(mode="before")
    @classmethod
    def _use_default_source(cls, values: Any) -> Any:  # noqa: ANN401  any YAML value
        if isinstance(values, dict) and all(values.get(source) is None for source in SOURCES):
            return {**values, "builtin": "digits"}
        return values

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [source for source in SOURCES if getattr(self, source) is not None]
        if len(given) > 1:
            raise ValueError(f"expected one source; found {len(given)}: {', '.join(given)}")
        for source, keys in KEYS_OF_SOURCE.items():
            for key in keys:
                if getattr(self, key) is not None and self.source != source:
                    raise ValueError(f"{key} needs the source {source}; found {self.source}")
        if self.class_names is not None and self.source not in KEYS_OF_SOURCE:
            raise ValueError(f"class_names needs the source parquet or hub; found {self.source}")
        if self.val + self.test >= 1:
            raise ValueError(f"val {self.val:g} and test {self.test:g} leave no training images")
        return self

    @property
    def source(self) -> str:
        """The key of the source."""
        return next(source for source in SOURCES if getattr(self, source) is not None)


def with_source(settings: DataSettings, path: str | Path) -> DataSettings:
    """Return the same settings with `path` as their source: a folder of images, or parquet files.

    A path ending in `.parquet` is a glob. In a folder with parquet files, the names of the files say their
    split (`train…`, `val…`, `test…`), and `classes.json` contains the names of the classes.
    """
    if str(path).endswith(".parquet"):
        source = {"parquet": str(path)}
    else:
        source = _find_parquet(Path(path).expanduser()) or {"folder": str(path)}
    return DataSettings.model_validate({**settings.model_dump(exclude=LOCATION_KEYS), **source})


def _find_parquet(folder: Path) -> dict[str, str]:
    """Return the keys for the parquet files in a folder; none for a folder without any."""
    if not folder.is_dir() or not any(folder.glob("*.parquet")):
        return {}
    names = {"parquet": "train*.parquet", "parquet_val": "val*.parquet", "parquet_test": "test*.parquet"}
    escaped = Path(glob.escape(str(folder)))
    found = {key: str(escaped / name) for key, name in names.items() if any(folder.glob(name))}
    if "parquet" not in found:
        found = {"parquet": str(escaped / "*.parquet")}
    if (folder / "classes.json").is_file():
        found["class_names"] = str(folder / "classes.json")
    return found
