"""The arithmetic of a run: what its spec leaves open is measured before anything is computed.

Numbers depend on it. So it is chosen once, written into the run's spec.yaml, and used from there on.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import torch
from accelerate import PartialState

import zoo
from files.paths import expand_home
from finetune.config import FinetuneSettings, get_section
from finetune.config.finetune import PrecisionSettings
from finetune.experiment.setup import Setup
from finetune.features.frozen_pass import ACCELERATOR_BATCH, CPU_BATCH
from finetune.probes.network import feature_cache
from finetune.records.files import write_text
from finetune.records.plan import read_plan
from finetune.records.run_folder import RunFolder
from finetune.runtime.device import describe_device
from finetune.runtime.fastest import fastest_precision
from finetune.runtime.precision import EXACT, Precision
from finetune.strategies import find_strategy
from zoo.errors import GraftError

MOST_TIMED = 32
"""Images of a batch that is timed on a processor at most; larger ones give the same speed."""
FEW_IMAGES = 32
"""Below this number of images, measuring costs more than it saves."""


def choose_arithmetic(setup: Setup) -> Setup:
    """Return the setup with a spec that states the arithmetic of the frozen pass and of training.

    What the spec leaves open is measured on the network, and kept in the cache of features: features in
    another arithmetic would have to be computed again. A plan that the spec names is followed.
    """
    asked = setup.settings.precision
    if isinstance(asked, PrecisionSettings):
        return setup
    strategy, given = setup.settings.strategy, setup.settings.plan
    features = training = EXACT
    has_features = setup.origin is not None and setup.task.probes and len(setup.train) >= FEW_IMAGES
    if asked != "float32" and has_features:
        features = _measure(setup, backward=False)
    if given is not None:
        training = read_plan(expand_home(given)).precision
    elif asked != "float32" and (strategy == "auto" or not find_strategy(strategy).probe):
        training = _measure(setup, backward=True)
    stated = {"features": features.name, "training": training.name}
    return state_arithmetic(setup, PrecisionSettings.model_validate(stated))


def read_or_choose_arithmetic(setup: Setup, folder: RunFolder) -> Setup:
    """Return the setup with the arithmetic that the folder's spec states, or choose it and write the spec.

    Raises: GraftError for a spec in the folder that states none.
    """
    if folder.spec.exists():
        stated = get_section(zoo.read_spec(folder.spec), FinetuneSettings).precision
        if not isinstance(stated, PrecisionSettings):
            raise GraftError(f"{folder.spec}: finetune.precision is {stated}; expected what the run wrote")
        return state_arithmetic(setup, stated)
    setup = choose_arithmetic(setup)
    write_text(folder.spec, setup.spec.to_yaml())
    return setup


def state_arithmetic(setup: Setup, arithmetic: PrecisionSettings) -> Setup:
    """Return the setup with this arithmetic in its spec."""
    return replace(setup, spec=zoo.override(setup.spec, {"finetune.precision": arithmetic.model_dump()}))


def _measure(setup: Setup, *, backward: bool) -> Precision:
    """Return the fastest precision, from the cache if it was measured before."""
    asked, device = setup.settings.precision, PartialState().device
    work = f"training-{_batch_size(setup, backward=True)}" if backward else "features"
    name = f"fastest-{work}-{asked}-{describe_device(device)}"
    cache = feature_cache(setup) if setup.origin is not None else None
    if cache is not None:
        known = cache.load_note(name, lambda text: Precision(**json.loads(text)))
        if known is not None:
            return known
    size = (setup.preprocess.height, setup.preprocess.width)
    images = _batch_size(setup, backward=backward) if device.type == "cpu" else ACCELERATOR_BATCH
    example = torch.zeros(images, 3, *size, dtype=torch.uint8, device=device)
    inputs = setup.preprocess.to(device).normalise(example)
    autocast = True if asked == "bfloat16" else None
    fastest = fastest_precision(setup.net.to(device), inputs, backward=backward, autocast=autocast)
    if cache is not None:
        cache.save_note(name, json.dumps(asdict(fastest)))
    return fastest


def _batch_size(setup: Setup, *, backward: bool) -> int:
    """Return the images of a batch of the frozen pass, or of training as far as its size is known by now."""
    stated = setup.settings.batch_size
    return min(stated, MOST_TIMED) if backward and isinstance(stated, int) else CPU_BATCH
