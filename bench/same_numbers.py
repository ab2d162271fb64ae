"""Compare the numbers of two checkouts: `python -m bench.same_numbers OLD NEW [--out FOLDER]`.

Both checkouts train the same specs with the same seed and arithmetic. Their weights and the numbers of every
epoch must be equal bit by bit. A run that stands in the output folder is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

COMMON = {"finetune.precision": "float32", "finetune.epochs": "2", "finetune.seed": "0"}
RUNS: dict[str, tuple[str, dict[str, str]]] = {
    "resnet_small_full": ("specs/resnet_small.yaml", {"finetune.strategy": "full"}),
    "resnet_small_partial": ("specs/resnet_small.yaml", {"finetune.strategy": "partial"}),
    "resnet_small_stage_probe": ("specs/resnet_small.yaml", {"finetune.strategy": "stage_probe"}),
    "lenet5": ("specs/lenet5.yaml", {}),
    "unet": ("specs/examples/unet.yaml", {"data.folder": "{masks}"}),
}


def main() -> int:
    """Train every run in both checkouts and compare; 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="a checkout")
    parser.add_argument("new", type=Path, help="another checkout")
    parser.add_argument("--out", type=Path, default=Path("runs/same_numbers"), help="folder of the runs")
    parser.add_argument("--only", nargs="*", default=list(RUNS), help="names of the runs to compare")
    given = parser.parse_args()
    masks = _draw_masks(given.out.resolve() / "masks")
    different = 0
    for name in given.only:
        old, new = (
            _train(checkout, name, given.out.resolve() / side / name, masks)
            for side, checkout in (("old", given.old), ("new", given.new))
        )
        found = _differences(old, new)
        different += bool(found)
        print(f"{name}: {'; '.join(found) or 'weights and metrics are equal bit by bit'}", flush=True)
    return int(different > 0)


def _train(checkout: Path, name: str, folder: Path, masks: Path) -> Path:
    spec, settings = RUNS[name]
    if (folder / "report.json").exists():
        return folder
    pairs = {key: value.format(masks=masks) for key, value in (COMMON | settings).items()}
    command = [sys.executable, "-m", "finetune", "run", spec, "--run", str(folder)]
    command += [part for key, value in pairs.items() for part in ("--set", f"{key}={value}")]
    # One thread: sums over several are not always in the same order. An empty cache: nothing from before.
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
        env |= {"GRAFT_CACHE": cache}
        subprocess.run(command, cwd=checkout, env=env, check=True, stdout=subprocess.DEVNULL)
    return folder


def _differences(old: Path, new: Path) -> list[str]:
    weights = [load_file(folder / "model.safetensors") for folder in (old, new)]
    if weights[0].keys() != weights[1].keys():
        return ["the names of the weights differ"]
    found = [
        f"{name} differs"
        for name, value in weights[0].items()
        if value.tobytes() != weights[1][name].tobytes()
    ]
    lines = [_epochs(folder) for folder in (old, new)]
    if lines[0] != lines[1]:
        found.append(f"epochs differ: {lines[0]} and {lines[1]}")
    metrics = [json.loads((folder / "report.json").read_text())["metrics"] for folder in (old, new)]
    if metrics[0] != metrics[1]:
        found.append(f"metrics differ: {metrics[0]} and {metrics[1]}")
    return found


def _epochs(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, without times and without what is measured beside the training."""
    if not (folder / "metrics.jsonl").exists():
        return []
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = ("epoch", "step", "train_loss", "val_loss", "val_score", "learning_rate")
    for line in lines:
        for old in ("val_accuracy", "val_mean_iou"):  # as the score was called before
            if old in line:
                line["val_score"] = line.pop(old)
    return [{key: line[key] for key in kept if key in line} for line in lines]


def _draw_masks(folder: Path) -> Path:
    """A segmentation data set of 120 images: discs on noise, and their masks."""
    if folder.exists():
        return folder
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    draw = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    for number in range(120):
        centre, radius = draw.integers(16, 48, 2), draw.integers(6, 16)
        disc = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
        pixels = draw.integers(0, 120, (64, 64, 3)) + 100 * disc[..., None]
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{number:03}.png")
        Image.fromarray(disc.astype(np.uint8)).save(folder / "masks" / f"{number:03}.png")
    return folder


if __name__ == "__main__":
    sys.exit(main())
