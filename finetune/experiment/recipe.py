"""Reading a recipe: the spec with the user's overrides, its images, and the weights that it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import zoo
from finetune.config import DataSettings, FinetuneSettings, get_section
from finetune.config.data import with_source
from finetune.data import Splits
from finetune.experiment.spec_check import check_files, check_spec
from finetune.strategies import find_strategy
from finetune.tasks import find_task


def read_recipe(
    path: str | Path,
    data: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
) -> zoo.Spec:
    """Read the spec at `path` with the user's overrides; `data` replaces the source of its images.

    Raises: zoo.SpecError with every mistake in the file and the overrides, before any image is read.
    """
    overrides = dict(set or {})
    spec = zoo.read_spec(path, overrides)
    check_spec(spec)
    check_files(spec)
    if data is None:
        return spec
    source = with_source(get_section(spec, DataSettings), data).model_dump(mode="json")
    kept = {key: value for key, value in overrides.items() if key.split(".")[0] != "data"}
    return zoo.read_spec(path, kept | {"data": source})


def load_data(spec: zoo.Spec) -> Splits:
    """Return the splits of the spec's images, cut by the spec's seed. Raises: DataError."""
    seed = get_section(spec, FinetuneSettings).seed
    return find_task(spec.task).load_splits(get_section(spec, DataSettings), seed)


def choose_weights(spec: zoo.Spec) -> tuple[str | None, str]:
    """Return the name of the weights to start from; or None and the reason.

    `auto` takes `default` if it is available, else the first that is; it never downloads, and takes none
    for training from scratch.
    Raises: zoo.WeightsError for a name that the spec does not have.
    """
    settings = get_section(spec, FinetuneSettings)
    if settings.weights == "none":
        return None, "finetune.weights is none"
    if settings.weights != "auto":
        return settings.weights, ""
    if settings.strategy != "auto" and not find_strategy(settings.strategy).pretrained:
        return None, f"finetune.strategy is {settings.strategy}"
    available = zoo.available_weights(spec)
    if available:
        return ("default" if "default" in available else available[0]), ""
    if not spec.weights:
        return None, f"{spec.name} declares none"
    names = ", ".join(spec.weights)
    return None, f"{names} not on this machine; `graft zoo pull {spec.name}` fetches them"


def restore_spec(spec: zoo.Spec) -> zoo.Spec:
    """Return a finished run's spec for setting the run up again; it holds the normalisation as numbers.

    It does not hold a mean image, which is computed from the training images again.
    """
    overrides: dict[str, object] = {"finetune.weights": "none"}
    if get_section(spec, DataSettings).normalise != "mean_image":
        overrides["data.normalise"] = "auto"
    return zoo.override(spec, overrides)
