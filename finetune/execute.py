"""Carrying out a plan: fit a probe on frozen features, or train by gradient."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from rich.console import Console
from torch import nn

from finetune.dataset import ImageDataset, loader
from finetune.evaluate import evaluate
from finetune.evidence import head_probe, network_features
from finetune.folder import RunFolder, write_weights
from finetune.loop import build_loop
from finetune.plan import Plan
from finetune.probe import probe_head
from finetune.setup import Setup
from finetune.strategies import find_strategy
from finetune.train import train
from zoo.errors import GraftError

EVALUATION_BATCH = 128


def execute_plan(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Mapping[str, object]:
    """Bring `setup.net` to its trained weights, which are also written to the folder.

    Out: how training went, as plain numbers.
    """
    if find_strategy(plan.strategy).probe:
        return _fit_head(setup, folder)
    standing = train(build_loop(setup, plan, folder, console))
    return {"epochs": standing.epoch, "best_epoch": standing.best_epoch + 1, "steps": standing.step}


def evaluate_split(setup: Setup, dataset: ImageDataset) -> dict[str, object]:
    """Every metric of the trained network on a split, in float32: what the artifact will answer."""
    net = setup.net.float().cpu().eval()
    preprocess = setup.preprocess.cpu()

    def forward(images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = net(preprocess.normalise(images))
        return logits

    batches = loader(dataset, EVALUATION_BATCH)
    return evaluate(forward, batches, setup.task, len(setup.classes), torch.device("cpu"))


def _fit_head(setup: Setup, folder: RunFolder) -> Mapping[str, object]:
    head = setup.net.get_submodule(setup.anatomy.head)
    if not isinstance(head, nn.Linear):
        raise GraftError(
            f"finetune.strategy: a linear probe needs a linear head; {setup.anatomy.head} is a {type(head).__name__}; "
            "choose partial or full"
        )
    probe = head_probe(setup, network_features(setup))
    probe_head(probe, head)
    write_weights(folder.weights, setup.net)
    return {
        "strength": probe.strength,
        "cross_validated_accuracy": probe.accuracy.value,
        "standard_error": probe.accuracy.error,
    }
