"""Many small runs on few cores: a process a core, each of one thread, and a log to go on from."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

from pixels import usable_cores

Task = TypeVar("Task")
Line = dict[str, Any]


def run_all(tasks: Sequence[Task], run: Callable[[Task], Line], log: Path) -> None:
    """Run each task that has no line in the log yet, and write its line.

    A task is a dataclass; its line holds its fields beside what was measured. On networks this small more
    threads would only wait for each other.
    """
    known = read_log(log)
    missing = [task for task in tasks if not any(vars(task).items() <= line.items() for line in known)]
    print(f"{len(tasks) - len(missing)} of {len(tasks)} runs stand in {log}")
    log.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(usable_cores(), context, _one_thread) as pool:
        waiting = {pool.submit(run, task): task for task in missing}
        for count, future in enumerate(as_completed(waiting), start=1):
            line = vars(waiting[future]) | future.result()
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{count}/{len(missing)}  {json.dumps(line)}", flush=True)


def read_log(log: Path) -> list[Line]:
    """The runs so far."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
