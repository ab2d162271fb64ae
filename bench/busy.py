"""Run beside two busy processes and compare with a run alone: `python -m bench.busy [--choices 10]`.

With the arithmetic that the first run's record states, weights and numbers must be equal bit by bit. With
`auto`, the same arithmetic should be chosen in 9 of 10 times.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

import zoo
from bench.kills import FORK, KINDS, LIMIT_S, Kills, draw_images, read_result, write_spec
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import Setup, prepare
from finetune.probes.arithmetic import choose_arithmetic

SPEC, SMALL = "specs/resnet_small.yaml", {"data.val": 0.3, "data.test": 0.6}
"""The network whose arithmetic is chosen."""
RUNS = [kind for kind in KINDS if kind != "search"]


def main() -> int:
    """Compare and print; 1 when a number differs, or another arithmetic is chosen too often."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--choices", type=int, default=10, help="how often the arithmetic is chosen")
    parser.add_argument("--processes", type=int, default=2, help="busy processes")
    parser.add_argument("--only", nargs="*", choices=RUNS, default=RUNS, help="kinds of runs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="busy-"))
    kills = Kills(folder, write_spec(folder), draw_images(folder / "images"), False, random.Random(0))
    faults = 0
    for kind in given.only:
        alone = kills.expected(kind, None)
        run, own = folder / f"{kind}-busy", {"finetune.precision": alone["arithmetic"]}
        with busy(given.processes):
            assert kills.run(kind, run, run.with_suffix(".cache"), own, LIMIT_S), f"{kind} takes too long"
        different = [name for name, value in read_result(run).items() if alone[name] != value]
        faults += bool(different)
        print(f"{kind}: {', '.join(different) or 'equal bit by bit'}", flush=True)
    recipe = read_recipe(SPEC, set=SMALL)
    setup = prepare(recipe, load_data(recipe))
    first = choose(setup, folder / "first")
    with busy(given.processes):
        chosen = Counter(choose(setup, folder / str(number)) for number in range(given.choices))
    print(f"alone: {first}; busy: {', '.join(f'{each} x {count}' for each, count in chosen.items())}")
    return int(faults > 0 or chosen[first] < 0.9 * given.choices)


def choose(setup: Setup, cache: Path) -> str:
    """Measure the arithmetic with an empty cache."""
    fresh = replace(setup, spec=zoo.override(setup.spec, {"finetune.cache": str(cache)}))
    return str(choose_arithmetic(fresh).settings.precision)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many processes busy with products of matrices inside the block."""
    processes = [FORK.Process(target=_work, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _work() -> None:
    matrix = torch.rand(512, 512)
    while True:
        matrix = torch.nn.functional.normalize(matrix @ matrix)


if __name__ == "__main__":
    sys.exit(main())
