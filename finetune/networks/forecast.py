"""How long training the whole of a network would take on this machine."""

from __future__ import annotations

import zoo
from finetune.data import Splits
from finetune.experiment.setup import prepare
from finetune.planning.defaults import resolve_defaults
from finetune.planning.evidence import count_images
from finetune.planning.forecast import forecast_plan
from finetune.probes.arithmetic import choose_arithmetic
from finetune.records.evidence import Forecast
from finetune.strategies import find_strategy


def forecast_full(recipe: zoo.Spec, splits: Splits) -> Forecast:
    """Time a few steps of training the whole network, and compute how long a run takes.

    Raises: GraftError as prepare.
    """
    setup = choose_arithmetic(prepare(zoo.override(recipe, {"finetune.strategy": "full"}), splits))
    return forecast_plan(setup, resolve_defaults(setup, find_strategy("full"), None, (), count_images(setup)))
