"""The probe's benchmark, as far as it goes without fastai."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bench.probe import NETWORKS, PAGE, Measured, report, write_listing, write_spec
from bench.probe_turns import GIVEN, PARTS, Fastai, Floor, Probe, run_floor, run_probe, set_up
from bench.stopwatch import REST, Stopwatch
from bench.textures import CLASSES, write_textures
from finetune.features.frozen_pass import FrozenPass
from finetune.probes.classifier import fit_classifier
from finetune.runtime.precision import EXACT


@pytest.fixture(scope="module")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("textures")
    write_textures(folder, 3 * CLASSES)
    return folder


def test_the_same_seed_draws_the_same_textures(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        write_textures(tmp_path / name, CLASSES + 1, seed)
    one, same, other = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.jpg")}
        for name in ("one", "same", "other")
    )
    assert one == same
    assert one.keys() == other.keys()
    assert len(one) == CLASSES + 1
    assert not set(one.values()) & set(other.values())


def test_a_part_inside_another_counts_for_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    watch = Stopwatch()
    with watch.running({json.dumps: "writing"}):
        with watch.part("outer"):
            json.dumps({})
        json.dumps({})
    assert watch.seconds == {REST: 3.0, "outer": 2.0, "writing": 2.0}
    assert watch.total == 7.0


class Reader:
    def read(self) -> str:
        return "read"


def test_methods_are_parts_and_are_themselves_again_afterwards() -> None:
    method, watch = Reader.read, Stopwatch()
    with watch.running({Reader.read: "reading"}):
        assert Reader.read is not method
        assert Reader().read() == "read"
    assert Reader.read is method
    assert watch.seconds.keys() == {REST, "reading"}


def test_floor_and_probe_run_on_a_folder(
    textures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.probe.SETTLING", 2)
    monkeypatch.setitem(GIVEN, "input", {"height": 64, "width": 64})
    spec = write_spec("resnet18", tmp_path)
    setup = set_up(spec, str(textures), tmp_path)
    rows = json.loads(write_listing(tmp_path, setup.splits).read_text())
    assert [validate for _, _, validate in rows] == [False] * 16 + [True] * 8
    assert {(str(path), path.parent.name) for path in textures.rglob("*.jpg")} == {
        (path, label) for path, label, _ in rows
    }
    floor, probe = run_floor(setup, EXACT), run_probe(spec, str(textures))
    assert floor.seconds == floor.decoding + floor.forward
    assert (
        {REST, PARTS[FrozenPass.run], PARTS[fit_classifier]} <= probe.parts.keys() <= {REST, *PARTS.values()}
    )
    assert probe.seconds == sum(probe.parts.values())
    assert 0 <= probe.accuracy <= 1


def test_the_report_tells_the_ratios() -> None:
    floors = [Floor(3.0, 3.0, EXACT), Floor(1.0, 3.0, EXACT)]
    probes = [Probe(9.0, {REST: 9.0}, 0.9, EXACT), Probe(5.0, {"pass": 4.0, REST: 1.0}, 0.9, EXACT)]
    fastai = [Fastai(None, 75.0, 0.85, "2.8"), Fastai(0, 60.0, 0.85, "2.8")]
    text = report(Measured("resnet18", 40, 32, floors, probes, fastai))
    probed, learned = [line for line in text.splitlines() if line.startswith("| a trained head")]
    assert probed.endswith("| 5.00 | 1.25 | 1 | 90.0 |")
    assert learned.endswith("| 60.00 | 15.0 | 12.0 | 85.0 |")
    assert "pass 4.00; the rest 1.00. Its first turn took 9.00." in text
    assert text.endswith("75.00 with its default workers; 60.00 with 0 workers.")
    assert ", fastai 2.8.\n" in text


@pytest.mark.parametrize("name", NETWORKS)
def test_the_page_has_a_place_for_the_table(name: str) -> None:
    _, found, rest = PAGE.read_text().partition(f"<!-- probe {name} -->\n")
    assert found
    assert f"<!-- /probe {name} -->" in rest
