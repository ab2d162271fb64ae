"""Writing report.html."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from scipy.special import softmax  # type: ignore[import-untyped]
from torch import nn

from finetune.data import SPLITS
from finetune.experiment.setup import Setup
from finetune.health.page import embed_pictures, make_sections
from finetune.health.run import read_health
from finetune.planning.summary import format_plan
from finetune.records.files import write_text
from finetune.records.metrics_log import read_records
from finetune.records.plan import Plan
from finetune.records.report import Report
from finetune.records.run_folder import RunFolder
from finetune.report.page.charts import draw_learning, draw_reliability
from finetune.report.page.gallery import MATRIX_CLASSES, Gallery, show_masks
from finetune.report.page.paint import class_colour
from finetune.report.page.sentences import describe_run, describe_size, find_source
from finetune.report.show import describe_uses, format_outcome
from finetune.report.tested import Tested

HERE = Path(__file__).parent
HEALTH_SHOWN = 6
"""Findings of a kind that are shown."""


def write_page(
    setup: Setup, net: nn.Module, tested: Tested, *, plan: Plan, report: Report, folder: RunFolder
) -> Path:
    """Write report.html of a run: one file that opens offline. Return its path.

    In: the network as it was evaluated, and its answers.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{value:.1%}"
    template = environment.get_template("page.html")
    values = {
        "style": (HERE / "style.css").read_text(encoding="utf-8"),
        "report": report,
        "plan": plan,
        "classes": setup.classes,
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "title": f"{Path(find_source(setup)).name}: {report.spec}",
        "paragraph": describe_run(setup, report),
        "what_it_tells": describe_size(report),
        "uses": describe_uses(setup, report.images.train, report.images.val, report.images.test),
        "plan_sentence": format_plan(plan),
        "outcome": format_outcome(report.outcome),
        "names": _metric_names(report),
        "fitted_to": "validation images" if report.cross_validation is None else "out-of-fold answers",
        "learning": draw_learning(read_records(folder.log), setup.task.score),
        "size_mb": {
            name: _size_mb(folder.path / one.file) for name, one in report.exports.items() if one.file
        },
        "colours": ["rgb({},{},{})".format(*class_colour(number)) for number in range(len(setup.classes))],
    }
    pictures = _pictures(setup, net, tested, report)
    write_text(folder.page, template.render(values | pictures | _health(setup, folder)))
    return folder.page


def _pictures(setup: Setup, net: nn.Module, tested: Tested, report: Report) -> dict[str, object]:
    """Return what is shown of the test images."""
    empty: dict[str, object] = {
        "matrix": None,
        "cells": [],
        "worst": [],
        "unlike": [],
        "reliability": None,
        "masks": [],
    }
    if setup.task.dense:
        with torch.inference_mode():
            return empty | {"masks": show_masks(setup, net, tested)}
    if tested.logits is None or report.calibration is None:
        return empty
    gallery = Gallery(setup, net, tested)
    cells = gallery.cells()
    few = len(setup.classes) <= MATRIX_CLASSES
    return empty | {
        "matrix": {(cell.truth, cell.answer): cell for cell in cells} if few else None,
        "cells": cells,
        "worst": gallery.worst(),
        "unlike": gallery.unlike(),
        "reliability": _reliability(tested, report.calibration.temperature),
    }


def _health(setup: Setup, folder: RunFolder) -> dict[str, object]:
    """Return what looks wrong with the images, and the pictures of it by name."""
    sections = make_sections(read_health(folder), HEALTH_SHOWN)
    images = {image.name: image for name in SPLITS for image in getattr(setup.splits, name).images}
    keys = {name: image.key for name, image in images.items()}
    return {
        "health": sections,
        "health_pictures": embed_pictures(sections, images),
        "health_keys": keys,
    }


def _reliability(tested: Tested, temperature: float) -> object:
    assert tested.logits is not None
    after, before = tested.probabilities, softmax(tested.logits.astype(np.float64) * temperature, axis=1)
    correct = (after.argmax(1) == np.asarray(tested.images.split.targets)).astype(np.float64)
    return draw_reliability(None if temperature == 1 else before.max(1), after.max(1), correct)


def _metric_names(report: Report) -> dict[str, str]:
    """Return how metrics are called, where not by their own name."""
    names = {"f1": "mean F1", "mean_iou": "mean IoU"}
    if report.cross_validation is not None and report.measured_on == "folds":
        names["accuracy"] = f"accuracy of {report.cross_validation.folds}-fold cross-validation"
    return names


def _size_mb(path: Path) -> float:
    return path.stat().st_size / 1e6 if path.exists() else 0.0
