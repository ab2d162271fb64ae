"""report.json: what a run came to, and what exporters had to say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from finetune.experiment.setup import Setup
from finetune.fit.execute import Trained
from finetune.monitor.diagnosis import diagnose_run
from finetune.records.plan import Plan
from finetune.records.run_folder import RunFolder, write_json
from finetune.tasks.evaluate import by_class, evaluate_artifact


def make_report(setup: Setup, plan: Plan, trained: Trained, folder: RunFolder) -> dict[str, object]:
    """What report.json says of a trained network, the exports aside."""
    splits, tested = setup.splits, len(setup.test) > 0
    images = setup.test if tested else setup.val
    metrics = evaluate_artifact(trained.net, setup.preprocess, images, setup.task, len(setup.classes))
    return {
        "spec": setup.spec.name,
        "task": setup.task.name,
        "strategy": plan.strategy,
        "images": {"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)},
        "measured_on": "test" if tested else "val",
        "metrics": {name: value for name, value in metrics.items() if isinstance(value, float)},
        "classes": by_class(metrics, setup.classes),
        "confusion": metrics.get("confusion"),
        "training": dict(trained.training),
        "reading": list(diagnose_run(setup, folder.log)),
        "weights": setup.origin.as_json() if setup.origin is not None else {"none": setup.no_weights},
        "broken": [asdict(broken) for broken in splits.broken],
        "warnings": list(setup.warnings),
    }


def note_export(folder: RunFolder, name: str, said: Mapping[str, object]) -> None:
    """Put what an exporter has to say into the report of a finished run."""
    report = dict(read_report(folder))
    exports = report["exports"]
    assert isinstance(exports, dict)
    write_json(folder.report, report | {"exports": exports | {name: dict(said)}})


def read_report(folder: RunFolder) -> Mapping[str, object]:
    """The report of a finished run."""
    values: Mapping[str, object] = json.loads(folder.report.read_text())
    return values
