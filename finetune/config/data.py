"""The `data` section of a spec: where the images come from and how they are split."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from files.paths import expand_home
from finetune.config.settings import Settings
from finetune.optim.ranges import Share
from zoo.errors import GraftError

SOURCES = ("builtin", "folder", "table", "parquet", "hub")
KEYS_OF_SOURCE = {
    "table": ("image_folder",),
    "parquet": ("parquet_val", "parquet_test"),
    "hub": ("hub_config", "hub_revision"),
}
NAMED_SOURCES = ("table", "parquet", "hub")
"""The sources whose labels may be numbers that `class_names` names."""
TABLE_SUFFIXES = (".csv", ".tsv")
PATH_COLUMNS = ("image", "path", "file", "filename", "file_name", "image_path", "filepath")
"""What a column of paths may be called; `data.image_column` names any other."""
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
"""What a source may call each split, in any case; the first name is preferred."""
LOCATION_KEYS = {*SOURCES, *(key for keys in KEYS_OF_SOURCE.values() for key in keys), "class_names"}
"""The keys that say where the images are, as opposed to how they are read."""

Byte = Annotated[int, Field(ge=0, le=255)]
# Specs are validated strictly, which takes no list for a tuple once a validator of the model has run.
FromList = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
MaskValue = Annotated[int, Field(ge=0, le=65535)] | Annotated[tuple[Byte, Byte, Byte], FromList]
MaskValues = Annotated[tuple[MaskValue, ...], Field(min_length=2, max_length=255), FromList]


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
    table: str | None = None
    """CSV, TSV or parquet file with a row for each image: the path of its file, and its label."""
    image_folder: str | None = None
    """Folder that the paths in `table` start from, by default the table's own."""
    label_columns: Annotated[tuple[str, ...], Field(min_length=2), FromList] | None = None
    """For `table`: one column for each class instead of `label_column`, with a 1 in the class of the row. By
    default these are all other columns, where there is no label column and they hold 0 and 1 alone."""
    split_column: str = "split"
    """For `table`: column that says train, val or test; without such a column, splits are cut."""
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
    """Column of the images, for parquet and hub; of their paths, for table."""
    label_column: str = "label"
    """Column of the labels, for table, parquet and hub."""
    class_names: str | None = None
    """JSON file with the list of class names, for table, parquet and hub."""
    mask_values: MaskValues | None = None
    """For masks: the value of each class in turn, such as [0, 38, 75], or its colour, such as [[0, 0, 0],
    [128, 0, 0]]; pixels of any other value count neither in training nor in metrics. By default the values
    are the classes 0, 1, 2 …, and 255 does not count."""
    exclude: str | None = None
    """File that lists images to leave out: the findings of `graft health`, or one path in each line."""
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
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Processes that load images; 0: the main process."""
    cache_mb: Annotated[int, Field(ge=0)] = 2048
    """Memory for the resized images of all splits and for the outputs of frozen stages together, in MiB. What
    finds no room is computed again in each epoch."""

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
        if self.class_names is not None and self.source not in NAMED_SOURCES:
            raise ValueError(f"class_names needs the source table, parquet or hub; found {self.source}")
        if len({*map(type, self.mask_values or ())}) > 1:
            raise ValueError("mask_values holds numbers and colours; expected one kind")
        if len(set(self.mask_values or ())) < len(self.mask_values or ()):
            raise ValueError("mask_values holds a value twice; expected one value per class")
        if self.val + self.test >= 1:
            raise ValueError(f"val {self.val:g} and test {self.test:g} leave no training images")
        return self

    @property
    def source(self) -> str:
        """The key of the source."""
        return next(source for source in SOURCES if getattr(self, source) is not None)


def match_splits(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that stand for each split, the preferred one first, without splits that have no name.

    >>> match_splits(["dev", "Train", "cats"])
    {'train': ['Train'], 'val': ['dev']}
    """
    known = list(names)
    found = {
        split: [name for alias in aliases for name in known if name.lower() == alias]
        for split, aliases in SPLIT_NAMES.items()
    }
    return {split: matches for split, matches in found.items() if matches}


def with_source(settings: DataSettings, path: str | Path) -> DataSettings:
    """Return the same settings with `path` as their source: a folder of images, a table, or parquet files.

    A path ending in `.csv` or `.tsv` is a table of paths and labels. One ending in `.parquet` is a glob, or
    such a table where it is a file whose images are text. In a folder with parquet files, the first word of
    a file's name says its split (`train-0.parquet`), and `classes.json` contains the names of the classes.
    Raises: GraftError for parquet files with two names of one split.
    """
    if str(path).lower().endswith(TABLE_SUFFIXES) or _holds_paths(expand_home(path)):
        source = {"table": str(path)}
    elif str(path).endswith(".parquet"):
        source = {"parquet": str(path)}
    else:
        source = _find_parquet(expand_home(path)) or {"folder": str(path)}
    return DataSettings.model_validate({**settings.model_dump(exclude=LOCATION_KEYS), **source})


def _holds_paths(path: Path) -> bool:
    """Return whether a parquet file has a column of text that is called as columns of paths are."""
    if path.suffix != ".parquet" or not path.is_file():
        return False
    import pyarrow as pa
    from pyarrow.parquet import read_schema

    try:
        schema = read_schema(path)
    except (OSError, pa.ArrowException):
        return False  # the source says what is wrong with it
    return any(field.name in PATH_COLUMNS and pa.types.is_string(field.type) for field in schema)


def _find_parquet(folder: Path) -> dict[str, str]:
    """Return the keys for the parquet files in a folder; none for a folder without any."""
    files = [path.name for path in folder.glob("*.parquet") if path.name[0] != "."] if folder.is_dir() else []
    if not files:
        return {}
    keys = {"train": "parquet", "val": "parquet_val", "test": "parquet_test"}
    escaped = Path(glob.escape(str(folder)))
    found = {}
    first_words = sorted({word.group() for name in files if (word := re.match("[A-Za-z]+", name))})
    for split, words in match_splits(first_words).items():
        if len(words) > 1:
            raise GraftError(
                f"{folder}: {words[0]}*.parquet and {words[1]}*.parquet are both {split}; keep one of them"
            )
        found[keys[split]] = str(escaped / f"{words[0]}*.parquet")
    if "parquet" not in found:
        found = {"parquet": str(escaped / "*.parquet")}
    if (folder / "classes.json").is_file():
        found["class_names"] = str(folder / "classes.json")
    return found
