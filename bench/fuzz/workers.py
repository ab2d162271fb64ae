"""Processes that do cases, each bounded in processor time and memory; one that fails is replaced."""

from __future__ import annotations

import contextlib
import faulthandler
import itertools
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from pkgutil import resolve_name

from bench.fuzz.case import Kind, make_random

MAX_CPU_S = 10.0
MAX_MEMORY_MB = 1500
MAX_WALL_S = 120.0
"""For a case that waits for ever without using the processor."""
START_S = 300.0
"""For a process to begin."""
SPARE_MB = 6000
"""What the operating system gives to a process at most, so that a fault cannot take the whole machine."""
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Job:
    """Cases of the kind at `where`, as in `bench.fuzz.kinds.specs:KIND`, and what each may take."""

    where: str
    folder: Path
    seed: int
    cpu_s: float = MAX_CPU_S
    memory_mb: int = MAX_MEMORY_MB
    wall_s: float = MAX_WALL_S


@dataclass
class Counts:
    """The results of the cases of a kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    cpu_s: float = 0.0
    memory_mb: int = 0


@dataclass(frozen=True)
class _Result:
    number: int
    outcome: str
    fault: str
    cpu_s: float
    memory_mb: int


def run_case(kind: Kind, folder: Path, seed: int, number: int, keep: Path | None = None) -> str:
    """Do one case in this process, in an empty folder; return its outcome, or raise what it raises."""
    if keep is not None:
        return kind.open(folder)(make_random(seed, kind.name, number), keep)
    with tempfile.TemporaryDirectory(prefix="graft-fuzz-") as empty:
        return kind.open(folder)(make_random(seed, kind.name, number), Path(empty))


def run_cases(job: Job, numbers: Iterable[int], processes: int) -> Counts:
    """Do cases in processes of their own."""
    counts, left = Counts(), iter(numbers)
    workers = [_Worker(job) for _ in range(processes)]
    try:
        while busy := [worker for worker in workers if worker.number is not None or worker.take(left)]:
            ready = wait([worker.pipe for worker in busy], timeout=1.0)
            for index, worker in enumerate(workers):
                result = worker.finish(worker.pipe in ready) if worker in busy else None
                if result is None:
                    continue
                counts.cpu_s = max(counts.cpu_s, result.cpu_s)
                counts.memory_mb = max(counts.memory_mb, result.memory_mb)
                counts.outcomes[result.outcome] += 1
                if result.fault:
                    counts.failures[result.number] = result.fault
                if not worker.is_usable:
                    worker.end()
                    workers[index] = _Worker(job)
    finally:
        for worker in workers:
            worker.end()
    return counts


class _Worker:
    """One process, and the number of the case that it does."""

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.log = tempfile.NamedTemporaryFile("w+", prefix="graft-fuzz-", suffix=".log")  # noqa: SIM115
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs, self.log.name, job))
        self.process.start()
        theirs.close()
        self.job = job
        self.number: int | None = None
        self.started_s = time.monotonic()
        self.is_usable, self.is_ready = True, False

    def take(self, numbers: Iterator[int]) -> bool:
        """Begin the next case, if there is one."""
        self.number = next(numbers, None)
        if self.number is None:
            return False
        self.started_s = time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # it has ended: `finish` will say so
            self.pipe.send(self.number)
        return True

    def finish(self, is_ready: bool) -> _Result | None:
        """Return the result of the case, None while it runs."""
        assert self.number is not None
        number = self.number
        if is_ready:
            try:
                result: _Result | None = self.pipe.recv()
            except EOFError:
                return self._fail(number, self._describe_end())
            if result is None:  # it begins only now: imports and preparations do not count
                self.is_ready, self.started_s = True, time.monotonic()
                return None
            self.number = None
            self.is_usable = not result.fault
            return result
        wall_s = self.job.wall_s if self.is_ready else START_S
        if time.monotonic() - self.started_s > wall_s:
            return self._fail(number, f"no end after {wall_s:g} s")
        return None

    def end(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join(0.5 if self.is_usable else 0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.log.close()

    def _fail(self, number: int, fault: str) -> _Result:
        self.number, self.is_usable = None, False
        return _Result(number, "failed", fault, 0.0, 0)

    def _describe_end(self) -> str:
        self.process.join()
        code = self.process.exitcode or 0
        self.log.seek(0)
        stack = self.log.read()[-3000:]
        if code == -signal.SIGPROF:
            return f"more than {self.job.cpu_s:g} s of processor time\n{stack}"
        return f"the process ended with {signal.Signals(-code).name if code < 0 else code}\n{stack}"


def _serve(pipe: Connection, log: str, job: Job) -> None:
    """Do the cases whose numbers come through the pipe."""
    file = os.open(log, os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, all_threads=True, chain=True)  # then ends the process
    limit = SPARE_MB * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    kind: Kind = resolve_name(job.where)
    case = kind.open(job.folder)
    pipe.send(None)
    for number in _received(pipe):
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, job.cpu_s)
        outcome, fault = "failed", ""
        with tempfile.TemporaryDirectory(prefix="graft-fuzz-") as empty:
            try:
                outcome = case(make_random(job.seed, kind.name, number), Path(empty))
            except BaseException:  # whatever it is, it is no message for a person
                fault = traceback.format_exc()
        signal.setitimer(signal.ITIMER_PROF, 0)
        memory_mb = _peak_mb()
        if not fault and memory_mb > job.memory_mb:
            outcome, fault = "failed", f"{memory_mb} MB of memory"
        pipe.send(_Result(number, outcome, fault, time.process_time() - start, memory_mb))


def _peak_mb() -> int:
    """Return the most memory that this process had: that of `getrusage` starts with what its parent had."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 1024)


def _received(pipe: Connection) -> Iterator[int]:
    for _ in itertools.count():
        try:
            yield pipe.recv()
        except EOFError:
            return
