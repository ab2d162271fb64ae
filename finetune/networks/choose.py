"""The choice of a network: the smallest whose linear classifier is nearly as good as the best one's."""

from __future__ import annotations

import time
from collections.abc import Sequence

import zoo
from finetune.config import FinetuneSettings, get_section
from finetune.data import Splits
from finetune.networks.candidates import find_candidates
from finetune.networks.measure import measure_network
from finetune.records.files import read_record, write_record, write_text
from finetune.records.network import NETWORK, NetworkChoice, NetworkScore
from finetune.records.run_folder import RunFolder
from pixels.processes import release_memory
from zoo.errors import GraftError

ENOUGH_IMAGES = 500
"""Training images that the networks are compared on; more would hardly change which one is best."""
TOLERANCE = 0.005
"""Accuracy that a smaller network may lose against the best one."""
LONGEST_S = 300.0
"""Where the spec has no budget, a network whose features take longer than this is left out."""
SHARE_OF_BUDGET = 0.5
"""Of `finetune.budget_minutes`, for choosing the network."""


def choose_network(recipe: zoo.Spec, splits: Splits) -> tuple[zoo.Spec, NetworkChoice]:
    """Measure every candidate on the training images and choose one.

    Out: the chosen spec with the recipe's settings, its budget less the time that choosing took.
    Raises: GraftError as find_candidates, and when no candidate could be measured.
    """
    settings, start = get_section(recipe, FinetuneSettings), time.monotonic()
    if settings.plan is not None:
        raise GraftError(
            f"finetune.plan: {settings.plan} was made for one network, and {recipe.path} chooses one\n"
            "  expected: the spec of the plan's network, or no plan"
        )
    budget_s = None if settings.budget_minutes is None else 60 * settings.budget_minutes
    most = min(settings.evidence_images, ENOUGH_IMAGES)
    candidates, scores = find_candidates(recipe), list[NetworkScore]()
    for candidate in candidates:
        spent = time.monotonic() - start
        limit_s = LONGEST_S if budget_s is None else SHARE_OF_BUDGET * budget_s - spent
        first = not any(score.accuracy for score in scores)
        scores.append(
            measure_network(candidate, splits, most_images=most, limit_s=float("inf") if first else limit_s)
        )
        release_memory()
    chosen = find_best(scores)
    spec = next(each for each in candidates if each.name == chosen.spec)
    if budget_s is not None:
        left = max(budget_s - (time.monotonic() - start), 1.0)
        spec = zoo.override(spec, {"finetune.budget_minutes": round(left / 60, 2)})
    return spec, NetworkChoice(chosen.spec, explain(chosen, scores), tuple(scores))


def read_or_choose_network(
    recipe: zoo.Spec, splits: Splits, folder: RunFolder
) -> tuple[zoo.Spec, NetworkChoice | None]:
    """Return the recipe of the network that the folder records, or choose one and record it.

    A recipe of one network is returned as it is, without a choice. Raises: as choose_network.
    """
    if not recipe.is_chosen:
        return recipe, None
    if folder.network.exists():
        return zoo.read_spec(folder.chosen), read_record(folder.network, NETWORK)
    chosen, choice = choose_network(recipe, splits)
    write_text(folder.chosen, chosen.to_yaml())
    write_record(folder.network, NETWORK, choice)
    return chosen, choice


def find_best(scores: Sequence[NetworkScore]) -> NetworkScore:
    """Return the first, and so the smallest, that loses at most TOLERANCE against the most accurate one.

    Raises: GraftError when none was measured.
    """
    best = max((score.accuracy.value for score in scores if score.accuracy), default=None)
    if best is None:
        reasons = "\n".join(f"  {score.spec}: {score.left_out}" for score in scores)
        raise GraftError(f"none of these networks could be measured:\n{reasons}")
    return next(s for s in scores if s.accuracy and s.accuracy.value >= best - TOLERANCE)


def explain(chosen: NetworkScore, scores: Sequence[NetworkScore]) -> str:
    """Return in one sentence why this network was chosen."""
    assert chosen.accuracy is not None
    others = [s for s in scores if s.accuracy and s is not chosen]
    text = (
        f"{chosen.spec}: a linear classifier on it recognised {chosen.accuracy.value:.1%} of"
        f" {chosen.images:,} training images that were held out in turn"
    )
    listed = ", ".join(f"{s.spec} {s.accuracy.value:.1%}" for s in others if s.accuracy)
    left_out = [s.spec for s in scores if not s.accuracy]
    text += f"; {listed}" if listed else ""
    best = max(s.accuracy.value for s in scores if s.accuracy)
    if chosen.accuracy.value < best:
        text += "; it is the smallest of those that are about as good"
    return text + (f"; not measured: {', '.join(left_out)}" if left_out else "")
