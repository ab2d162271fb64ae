"""Data health in a run: from what the run has decoded and computed in any case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from finetune.data import SPLITS, Splits
from finetune.data.source import Item
from finetune.experiment.setup import Setup
from finetune.health.copies import find_repeated
from finetune.health.finding import Finding, format_table, parse_table, sort_findings
from finetune.health.learned import find_by_features
from finetune.health.looks import find_imbalance, find_odd_looks
from finetune.probes.network import network_features, sample_rows
from finetune.records.files import write_text
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder
from finetune.strategies import find_strategy

FEWEST = 50
"""Training images from which on labels are doubted."""
LEARNED = ("label", "outlier")
"""Kinds of findings that need features."""
BRIEF = {
    "leak": "in several splits",
    "classes": "in several classes",
    "label": "doubtful labels",
    "outlier": "unlike all others",
    "copy": "copies",
    "look": "odd size or colour",
    "balance": "small classes",
}
"""Kinds of findings as one line names them; broken images are told before."""


def check_splits(splits: Splits, *, classes: bool) -> list[Finding]:
    """Return the findings about images that were just read; none for splits read from a file.

    `classes` says whether each image has one class.
    """
    if splits.scanned is None:
        return []
    parts, copies = splits.scanned.parts, splits.scanned.copies
    items = [item for name in SPLITS for item in parts.get(name, ())]
    names = [name for name in SPLITS for _ in parts.get(name, ())]
    findings = [Finding("broken", each.path, detail=each.reason, exclude=True) for each in splits.broken]
    findings += find_repeated(items, names, splits.classes, copies)
    findings += find_odd_looks(items, splits.classes)
    if classes:
        findings += find_imbalance(items, splits.classes)
    return sort_findings(findings)


def check_labels(setup: Setup, plan: Plan) -> list[Finding]:
    """Return the findings from the features of training images, where the plan or its strategy needs them.

    Nothing is computed that the run does not need in any case. The network is the pretrained one.
    """
    train, settings = setup.train.split, setup.settings
    if setup.origin is None or setup.task.target != "class":
        return []
    if find_strategy(plan.strategy).probe:
        rows = np.arange(len(train))
    else:
        samples = (sample_rows(setup, probes=probes) for probes in (True, False))
        measured = 0 if settings.plan is not None else plan.evidence.measured_images
        rows = next((sample for sample in samples if len(sample) == measured), np.array([], np.intp))
    if len(rows) < FEWEST:
        return []
    features = network_features(setup, rows)
    items = [Item(train.images[row], int(train.targets[row]), int(train.targets[row])) for row in rows]
    return sort_findings([*find_by_features(items, features, setup.classes, settings.seed)])


def write_health(findings: Sequence[Finding], folder: RunFolder) -> None:
    """Write the findings of a run, in a form that `data.exclude` reads."""
    write_text(folder.health, format_table(findings))


def read_health(folder: RunFolder) -> list[Finding]:
    """Return the findings of a run; none for a run without."""
    return parse_table(folder.health.read_text(encoding="utf-8")) if folder.health.exists() else []


def add_labels(setup: Setup, plan: Plan, folder: RunFolder) -> list[Finding]:
    """Add what the features show to the findings of a run, and return all; a resumed run does it again."""
    before = [each for each in read_health(folder) if each.kind not in LEARNED]
    findings = sort_findings([*before, *check_labels(setup, plan)])
    write_health(findings, folder)
    return findings


def describe_findings(findings: Sequence[Finding]) -> str:
    """Return how many findings there are of each kind, in one line; empty without any."""
    counts = Counter(each.kind for each in findings)
    return ", ".join(f"{BRIEF[kind]} {counts[kind]:,}" for kind in BRIEF if counts[kind])
