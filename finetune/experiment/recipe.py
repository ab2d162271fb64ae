"""Reading a recipe: the spec with the user's overrides, its images, and the weights that it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import zoo
from finetune.config import DataSettings, FinetuneSettings, get_section
from finetune.config.data import with_source
from finetune.data import Splits
from finetune.data.decoded import DECODED
from finetune.data.pixels import one_thread
from finetune.data.shared_memory import MIB
from finetune.experiment.spec_check import check_files, check_spec
from finetune.strategies import find_strategy
from finetune.tasks import find_task
from finetune.transforms.preprocess import Preprocess
from zoo.errors import GraftError
from zoo.pretrained import load


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
    """Return the splits of the spec's images, cut by the spec's seed. Raises: DataError.

    What the scan decodes is kept at the network's size for the data sets, within data.cache_mb. A network
    that is still to be chosen has no size.
    """
    data, seed = get_section(spec, DataSettings), get_section(spec, FinetuneSettings).seed
    DECODED.start(None if spec.is_chosen else _network_size(spec), data.cache_mb * MIB)
    with one_thread():
        return find_task(spec.task).load_splits(data, seed)


def _network_size(spec: zoo.Spec) -> Preprocess:
    """Return the module that brings an image to the size that the network takes."""
    shape, (weights, _) = spec.input, choose_weights(spec)
    if weights is not None:
        shape = shape.model_copy(update=zoo.trained_input(spec, weights).model_dump(exclude_none=True))
    return Preprocess(height=shape.height, width=shape.width, resize=shape.resize)


def choose_weights(spec: zoo.Spec) -> tuple[str | None, str]:
    """Return the name of the weights to start from; or None and the reason.

    `auto` takes `default` if it is on this machine, else the first that is; else `default` or the first that
    the spec declares, which is then downloaded. It takes none for training from scratch.
    Raises: zoo.WeightsError for a name that the spec does not have.
    """
    settings = get_section(spec, FinetuneSettings)
    if settings.weights == "none":
        return None, "finetune.weights is none"
    if settings.weights != "auto":
        return settings.weights, ""
    if settings.strategy != "auto" and not find_strategy(settings.strategy).pretrained:
        return None, f"finetune.strategy is {settings.strategy}"
    if not spec.weights:
        return None, f"{spec.name} declares none"
    names = zoo.available_weights(spec) or tuple(spec.weights)
    return ("default" if "default" in names else names[0]), ""


def fetch_weights(spec: zoo.Spec) -> None:
    """Download the weights that a run of the spec starts from, if they are not on this machine.

    Raises: GraftError where they cannot be downloaded, with the specs whose weights are on this machine.
    """
    weights, _ = choose_weights(spec)
    if weights is None:
        return
    try:
        load.fetch_weights(spec, weights)
    except zoo.WeightsUnavailableError as error:
        others = ", ".join(zoo.specs_with_weights(spec.task)) or "none"
        raise GraftError(
            f"{error}\n"
            "  or start without pretrained weights: --set finetune.weights=none\n"
            f"  or take a spec whose weights are on this machine: {others}"
        ) from error


def restore_spec(spec: zoo.Spec) -> zoo.Spec:
    """Return a finished run's spec for setting the run up again; it holds the normalisation as numbers.

    It does not hold a mean image, which is computed from the training images again.
    """
    overrides: dict[str, object] = {"finetune.weights": "none"}
    if get_section(spec, DataSettings).normalise != "mean_image":
        overrides["data.normalise"] = "auto"
    return zoo.override(spec, overrides)
