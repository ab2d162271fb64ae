"""`make bench-probe`: folder to trained linear head, against the least that this takes and against fastai."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import save_file
from torch.optim.swa_utils import update_bn

import zoo
from bench.document import machine, write_between
from bench.probe_turns import Fastai, Floor, Probe, run_fastai, run_floor, run_probe, set_up
from bench.textures import CLASSES, draw_texture, write_textures
from finetune.data import Splits
from finetune.transforms.preprocess import Preprocess

NETWORKS = {"resnet18": "resnet18", "efficientnet_lite0": "tf_efficientnet_lite0"}
"""Specs, and the networks of timm with the same keys, which fastai takes."""
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""Of published weights; fastai's imagenet_stats are the same."""
SETTLING = 32
"""Textures that the batch norms' statistics are taken of."""
IMAGES = 1000
TURNS = 2
"""Turns of the floor and of Graft before each one of fastai."""
WORKERS = (None, 0)
"""fastai's processes that load images: its default, and none; it has a turn with each."""
PAGE = Path("docs/strategy-measurements.md")


@dataclass(frozen=True)
class Measured:
    """All turns on so many images, `learned` of them learned from and the others held back."""

    network: str
    images: int
    learned: int
    floors: Sequence[Floor]
    probes: Sequence[Probe]
    fastai: Sequence[Fastai]


def main() -> None:
    """Measure, print the tables, and write each into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fastai", type=Path, help="the Python that has fastai")
    parser.add_argument("--data", help="a folder of images, a folder a class; default: drawn textures")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--images", type=int, default=IMAGES, help="how many textures to draw")
    parser.add_argument("--turns", type=int, default=TURNS, help="of the floor and of Graft to one of fastai")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the table is written")
    given = parser.parse_args()
    with TemporaryDirectory() as scratch:
        folder = given.data or str(Path(scratch, "textures"))
        if given.data is None:
            write_textures(Path(folder), given.images)
        for name in given.networks:
            text = report(measure(name, folder, Path(scratch, name), given.fastai, given.turns))
            print(text)
            write_between(given.page, f"probe {name}", text)


def measure(network: str, folder: str, scratch: Path, fastai: Path, turns: int) -> Measured:
    """Graft and the floor in turn, in the precision that Graft chose; then fastai, with each loader."""
    scratch.mkdir()
    spec = write_spec(network, scratch)
    setup = set_up(spec, folder, scratch)
    images = write_listing(scratch, setup.splits)
    floors, probes, others = [], [], []
    for workers in WORKERS:
        for _ in range(turns):
            probes.append(run_probe(spec, folder))
            floors.append(run_floor(setup, probes[-1].precision))
        others.append(
            run_fastai(fastai, images, NETWORKS[network], spec.with_suffix(".safetensors"), workers)
        )
    learned, held_back = len(setup.splits.train), len(setup.splits.val)
    return Measured(network, learned + held_back, learned, floors, probes, others)


def write_spec(network: str, folder: Path) -> Path:
    """The network's spec with drawn weights in a file beside it, which fastai loads as well.

    Its batch norms hold the statistics of some textures: with the ones that they start from, a network of so
    many layers answers alike to everything.
    """
    spec = zoo.read_spec(network)
    path = folder / f"{network}.yaml"
    net, rng = zoo.build(spec, seed=0), np.random.default_rng(0)
    side = slice(spec.input.height)
    textures = np.stack([draw_texture(number % CLASSES, rng)[side, side] for number in range(SETTLING)])
    preprocess = Preprocess(height=spec.input.height, width=spec.input.width, mean=MEAN, std=STD)
    update_bn([preprocess(torch.from_numpy(textures))], net)
    save_file(net.state_dict(), path.with_suffix(".safetensors"))
    path.write_text(
        f"extends: {spec.path.resolve()}\n"
        f"weights: {{file: {{file: {network}.safetensors, input: {{mean: {MEAN}, std: {STD}}}}}}}\n"
    )
    return path


def write_listing(folder: Path, splits: Splits) -> Path:
    """The same images in the same splits, as fastai_probe.py reads them."""
    rows = [
        (str(Path(image.name).resolve()), splits.classes[target], validate)
        for split, validate in ((splits.train, False), (splits.val, True))
        for image, target in zip(split.images, split.targets, strict=True)
    ]
    path = folder / "images.json"
    path.write_text(json.dumps(rows))
    return path


def report(measured: Measured) -> str:
    """The best turn of each, with the ratios, and where Graft's seconds went."""
    floor = min(measured.floors, key=lambda turn: turn.seconds)
    probe = min(measured.probes, key=lambda turn: turn.seconds)
    fastai = min(measured.fastai, key=lambda turn: turn.seconds)
    rows = [
        "| from the folder to | seconds | times the floor | times Graft | accuracy, % |",
        "|---|---:|---:|---:|---:|",
        f"| the floor: images decoded, one forward pass of the trunk ({floor.precision.name}) |"
        f" {floor.seconds:.2f} | 1 | | |",
        f"| a trained head, Graft's `linear_probe` ({probe.precision.name}) | {probe.seconds:.2f} |"
        f" {probe.seconds / floor.seconds:.2f} | 1 | {100 * probe.accuracy:.1f} |",
        f"| a trained head, five frozen epochs of fastai's `vision_learner` | {fastai.seconds:.2f} |"
        f" {fastai.seconds / floor.seconds:.1f} | {fastai.seconds / probe.seconds:.1f} |"
        f" {100 * fastai.accuracy:.1f} |",
    ]
    parts = sorted(probe.parts.items(), key=lambda part: -part[1])
    said = [
        f"{machine()[:-1]}, fastai {fastai.version}.",
        f"**{measured.network}**, {measured.images} images, {measured.learned} of them learned from and the"
        f" others held back; {torch.get_num_threads()} threads on both sides. The best of"
        f" {len(measured.probes)} turns, of fastai's {len(measured.fastai)}.",
        "\n".join(rows),
        f"The floor's seconds: decoding {floor.decoding:.2f}, forward pass {floor.forward:.2f}.",
        f"Graft's: {'; '.join(f'{name} {seconds:.2f}' for name, seconds in parts)}. Its first turn took"
        f" {measured.probes[0].seconds:.2f}.",
        f"fastai's: {'; '.join(f'{turn.seconds:.2f} with {turn.loading}' for turn in measured.fastai)}.",
    ]
    return "\n\n".join(said)


if __name__ == "__main__":
    main()
