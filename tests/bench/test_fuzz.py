"""A short run of the fuzz suite, of every kind, and what the suite does with cases that fail."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import fuzz_kit
import pytest
from fuzz_kit import DIES, GROWS, HANGS, RAISES, WAITS

from bench.fuzz.__main__ import KINDS, find, main
from bench.fuzz.case import Kind, make_random
from bench.fuzz.mutate import alter, damage
from bench.fuzz.workers import Job, run_case, run_cases

SEED = 7
SHORT = {"specs": 16, "weights": 40, "images": 300, "onnx": 30, "requests": 20, "calls": 20}
"""Cases of the kinds whose preparation takes no time. `make fuzz` does all kinds, and thousands of cases."""


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.filterwarnings("ignore")
def test_damaged_input_is_taken_or_refused(name: str, tmp_path: Path) -> None:
    kind: Kind = import_module(find(name).partition(":")[0]).KIND
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    kind.prepare(prepared)
    case = kind.open(prepared)
    outcomes = set()
    for number in range(SHORT[name]):
        empty = tmp_path / str(number)
        empty.mkdir()
        outcomes.add(case(make_random(SEED, name, number), empty))
    assert outcomes


def test_every_kind_is_declared() -> None:
    kinds = [import_module(find(name).partition(":")[0]).KIND for name in KINDS]
    assert [kind.name for kind in kinds] == list(KINDS)
    assert {kind.name: kind.count for kind in kinds} == {
        "specs": 5000,
        "weights": 2000,
        "images": 5000,
        "plans": 1000,
        "onnx": 1000,
        "requests": 2000,
        "calls": 2000,
        "runs": 500,
    }


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder that says what each planted case does: case N does N."""
    for number in range(10):
        (tmp_path / make_random(SEED, "planted", number).random().hex()).write_text(str(number))
    return tmp_path


def test_a_case_that_fails_is_found_and_the_others_are_done(planted: Path) -> None:
    job = Job("fuzz_kit:KIND", planted, SEED, cpu_s=1, memory_mb=300, wall_s=4.0)
    counts = run_cases(job, range(10), 2)
    assert dict(counts.outcomes) == {"accepted": 5, "failed": 5}, counts.failures
    assert set(counts.failures) == {HANGS, WAITS, GROWS, DIES, RAISES}
    assert counts.failures[HANGS].startswith("more than 1 s of processor time")
    assert "fuzz_kit.py" in counts.failures[HANGS]
    assert counts.failures[WAITS] == "no end after 4 s"
    assert counts.failures[GROWS].endswith(" MB of memory")
    assert counts.failures[DIES].startswith("the process ended with SIGABRT")
    assert "ValueError: planted" in counts.failures[RAISES]


def test_a_case_is_repeated_alone(planted: Path) -> None:
    assert run_case(fuzz_kit.KIND, planted, SEED, 2) == "accepted"
    with pytest.raises(ValueError, match="planted"):
        run_case(fuzz_kit.KIND, planted, SEED, RAISES)


def test_a_failure_says_how_to_repeat_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.fuzz.__main__.find", lambda _name: "fuzz_kit:KIND")
    for_one_case = "--kind specs --count 1 --processes 1 --seed 5"
    monkeypatch.setattr(sys, "argv", ["fuzz", *for_one_case.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1  # nothing says what this case does
    out = capsys.readouterr().out
    assert "planted: 1 cases, 1 failures (1 failed); at most" in out
    assert "case 0; again: python -m bench.fuzz --kind planted --seed 5 --case 0" in out
    assert "FileNotFoundError" in out


def test_damage_is_damage_and_the_same_each_time() -> None:
    content = bytes(range(256))
    for number in range(200):
        changed = damage(content, make_random(SEED, "x", number))
        assert changed != content
        assert changed == damage(content, make_random(SEED, "x", number))


def test_altering_leaves_the_document_as_it_was() -> None:
    document = {"a": [1, 2, {"b": "c"}], "d": None}
    altered = [alter(document, make_random(SEED, "x", number), ("w",), 2) for number in range(100)]
    assert document == {"a": [1, 2, {"b": "c"}], "d": None}
    assert sum(each != document for each in altered) > 80
