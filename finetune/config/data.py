"""The `data` section of a spec: where the images come from and how they are split."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SOURCES = ("builtin", "folder", "parquet", "hub")
COMPANIONS = {"parquet": ("parquet_val", "parquet_test"), "hub": ("hub_config", "hub_revision")}
WHERE = {*SOURCES, *(key for keys in COMPANIONS.values() for key in keys), "class_names"}
"""The keys that say where images lie, and nothing about how they are read."""

Normalise = Literal["auto", "weights", "training_set", "mean_image"]
Similarity = Literal["auto", "similar", "different"]


class DataSettings(BaseModel):
    """One source of images, the shares held back for validation and test, and how they are read.

    A split that the source brings along (a `val/` folder, `parquet_val`, a hub split) is used as it is; one
    that is missing is cut from the training images, stratified by class; `val` and `test` are shares of
    those, and `test: 0` means no test split. Paths may start with `~`; relative ones count from the current
    folder.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    builtin: Literal["digits"] | None = Field(None, description="no file needed: 1,797 handwritten digits")
    folder: str | None = Field(None, description="one folder a class, or train/, val/, test/ of those")
    parquet: str | None = Field(None, description="glob of parquet files with an image and a label column")
    parquet_val: str | None = Field(None, description="glob of the parquet files to validate on")
    parquet_test: str | None = Field(None, description="glob of the parquet files to test on")
    hub: str | None = Field(None, description="name of a data set on the Hugging Face hub")
    hub_config: str | None = Field(None, description="which of its configurations")
    hub_revision: str | None = Field(None, description="commit or tag of the hub data set, to pin it")
    image_column: str = Field("image", description="parquet and hub: the column of images")
    label_column: str = Field("label", description="parquet and hub: the column of labels")
    class_names: str | None = Field(
        None, description="parquet and hub: JSON file, the names of labels 0, 1, 2 … as a list"
    )
    val: float = Field(0.15, gt=0, lt=1, description="share of the images to validate on")
    test: float = Field(0.15, ge=0, lt=1, description="share of the images to test on; 0: none")
    max_broken: float = Field(0.05, ge=0, le=1, description="more broken images than this share stop the run")
    similarity: Similarity = Field(
        "auto", description="how near the images are to what the weights were trained on; auto: measured"
    )
    normalise: Normalise = Field(
        "auto",
        description="pixels less a mean, over a deviation: the weights' own, those of each channel of the "
        "training set, or its mean image; auto: the weights', without weights the training set's",
    )
    workers: int = Field(0, ge=0, description="processes that load images; 0: the main one")
    cache_mb: int = Field(
        2048,
        ge=0,
        description="keep a split's resized images in memory up to this many MiB, and what frozen stages "
        "make of them up to as many again",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_source(cls, values: Any) -> Any:  # noqa: ANN401  whatever the file holds
        if isinstance(values, dict) and all(values.get(source) is None for source in SOURCES):
            return {**values, "builtin": "digits"}
        return values

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [source for source in SOURCES if getattr(self, source) is not None]
        if len(given) > 1:
            raise ValueError(f"one source is wanted, {len(given)} are given: {', '.join(given)}")
        for source, keys in COMPANIONS.items():
            for key in keys:
                if getattr(self, key) is not None and self.source != source:
                    raise ValueError(f"{key} goes with {source}; the source is {self.source}")
        if self.class_names is not None and self.source not in COMPANIONS:
            raise ValueError(f"class_names goes with parquet or hub; the source is {self.source}")
        if self.val + self.test >= 1:
            raise ValueError(f"val {self.val:g} and test {self.test:g} leave nothing to train on")
        return self

    @property
    def source(self) -> str:
        """The key of the one source in use."""
        return next(source for source in SOURCES if getattr(self, source) is not None)


def with_source(settings: DataSettings, path: str | Path) -> DataSettings:
    """The same settings reading `path` in place of their source: a folder of images, or parquet files.

    A path ending in `.parquet` is a glob of parquet files. A folder that holds parquet files stands for them:
    their names tell the splits apart (`train…`, `val…`, `test…`), its `classes.json` names the classes.
    """
    found = _parquet_files(Path(path).expanduser())
    if str(path).endswith(".parquet"):
        source = {"parquet": str(path)}
    elif found:
        source = found
    else:
        source = {"folder": str(path)}
    kept = settings.model_dump(exclude=WHERE)
    return DataSettings.model_validate({**kept, **source})


def _parquet_files(folder: Path) -> dict[str, str]:
    """The parquet keys that a folder of parquet files stands for; nothing for any other folder."""
    if not folder.is_dir() or not any(folder.glob("*.parquet")):
        return {}
    names = {"parquet": "train*.parquet", "parquet_val": "val*.parquet", "parquet_test": "test*.parquet"}
    place = Path(glob.escape(str(folder)))
    found = {key: str(place / name) for key, name in names.items() if any(folder.glob(name))}
    if "parquet" not in found:
        found = {"parquet": str(place / "*.parquet")}
    if (folder / "classes.json").is_file():
        found["class_names"] = str(folder / "classes.json")
    return found
