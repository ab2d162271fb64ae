"""`python -m bench.fuzz`: do the cases of every kind, and print the results."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from pkgutil import resolve_name

from bench.fuzz.case import Kind
from bench.fuzz.workers import MAX_CPU_S, MAX_MEMORY_MB, Counts, Job, run_case, run_cases
from pixels import usable_cores
from pixels.text import printable

KINDS = ("specs", "weights", "images", "plans", "onnx", "requests", "calls", "runs")
SHOWN_FAILURES = 20


def main() -> None:
    """Exit with 1 when a case failed."""
    arguments = _read_arguments()
    failed = 0
    print(
        f"seed {arguments.seed}; each case: {MAX_CPU_S:g} s of processor time, {MAX_MEMORY_MB} MB of memory"
    )
    for name in arguments.kind or KINDS:
        where = find(name)
        kind: Kind = resolve_name(where)
        with tempfile.TemporaryDirectory(prefix=f"graft-fuzz-{name}-") as folder:
            kind.prepare(Path(folder))
            if arguments.case is not None:
                _repeat(kind, Path(folder), arguments.seed, arguments.case)
                continue
            start = time.monotonic()
            numbers = range(arguments.count or kind.count)
            counts = run_cases(Job(where, Path(folder), arguments.seed), numbers, arguments.processes)
        _show(kind, counts, arguments.seed, time.monotonic() - start)
        failed += len(counts.failures)
    sys.exit(1 if failed else 0)


def find(name: str) -> str:
    """Return where a kind is declared."""
    return f"bench.fuzz.kinds.{name}:KIND"


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind; may be given again")
    parser.add_argument("--count", type=int, help="cases of each kind; by default those of a full run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--case", type=int, help="repeat this case alone, in this process, and keep its files"
    )
    parser.add_argument("--processes", type=int, default=usable_cores())
    return parser.parse_args()


def _repeat(kind: Kind, folder: Path, seed: int, number: int) -> None:
    kept = Path(tempfile.mkdtemp(prefix=f"graft-fuzz-{kind.name}-{number}-"))
    print(f"{kind.name} {number}: files in {kept}")
    print(run_case(kind, folder, seed, number, kept))


def _show(kind: Kind, counts: Counts, seed: int, seconds: float) -> None:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.outcomes.items()))
    total, failures = sum(counts.outcomes.values()), len(counts.failures)
    print(
        f"{kind.name}: {total} cases, {failures} failures ({outcomes}); at most {counts.cpu_s:.1f} s of "
        f"processor time and {counts.memory_mb} MB; {seconds:.0f} s in all",
        flush=True,
    )
    for number, fault in sorted(counts.failures.items())[:SHOWN_FAILURES]:
        print(
            f"  case {number}; again: python -m bench.fuzz --kind {kind.name} --seed {seed} --case {number}"
        )
        print("    " + printable("\n    ".join(fault.strip().splitlines()[-12:])), flush=True)


if __name__ == "__main__":
    main()
