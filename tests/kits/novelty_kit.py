"""The score of unknown images, fitted and scaled as a run does."""

from __future__ import annotations

import torch

from finetune.calibration.novelty import Features, find_scale, fit_distance, measure_distances
from finetune.models.novelty import Novelty


def fit_novelty(reference: Features, held_out: Features, kept: float) -> Novelty:
    """The score fitted to the reference, of which a share `kept` of `held_out` is below 1."""
    novelty = fit_distance(reference)
    novelty.scale = torch.tensor(find_scale(measure_distances(novelty, held_out), kept))
    return novelty
