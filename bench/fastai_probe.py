"""Five frozen epochs of fastai's vision_learner, timed; `make bench-probe` runs it in its own environment."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import fastai  # type: ignore[import-not-found]
import pandas as pd  # type: ignore[import-untyped]
import torch
from fastai.vision.all import (  # type: ignore[import-not-found]
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    accuracy,
    default_device,
    imagenet_stats,
    vision_learner,
)
from safetensors.torch import load_file

EPOCHS = 5
SIZE_PX = 224
BATCH = 64


def main() -> None:
    """Print one line of JSON: seconds from the list of images to the trained head, and accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="JSON: a list of [path, label, whether to validate on it]")
    parser.add_argument("network", help="its name in timm")
    parser.add_argument("weights", type=Path, help="its weights, safetensors")
    parser.add_argument("--workers", type=int, help="image-loading processes; default: fastai's, one a core")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    default_device(use=False)  # the processor, whatever else there is
    start = time.perf_counter()
    learner = build_learner(given.images, given.network, given.weights, given.workers)
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(EPOCHS)
    seconds = time.perf_counter() - start
    right = float(learner.recorder.values[-1][-1])
    print(json.dumps({"seconds": seconds, "accuracy": right, "version": fastai.__version__}))


def build_learner(listing: Path, network: str, weights: Path, workers: int | None) -> Learner:
    """The learner of fastai's quick start: cut to squares, not augmented; all but head and norms frozen.

    The weights come from a file, so `vision_learner` is told of none, and what it does with published ones,
    normalising and freezing, is done here.
    """
    rows = pd.DataFrame(json.loads(listing.read_text()), columns=["path", "label", "validate"])
    loaders = ImageDataLoaders.from_df(
        rows,
        path="/",
        valid_col="validate",
        item_tfms=Resize(SIZE_PX),
        batch_tfms=Normalize.from_stats(*imagenet_stats),
        bs=min(BATCH, int((~rows.validate).sum())),  # a last batch that is not full is left out
        num_workers=workers,
    )
    learner = vision_learner(loaders, network, pretrained=False, metrics=accuracy)
    body = learner.model[0].model
    missing, _ = body.load_state_dict(load_file(weights), strict=False)
    assert not missing, missing  # the file also has the head that fastai replaces
    learner.freeze()
    return learner


if __name__ == "__main__":
    main()
