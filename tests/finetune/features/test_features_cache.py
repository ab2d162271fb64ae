"""The cache on disk: damage costs time and nothing else, many may use it, and it stays within its bound."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from finetune.features.cache import FeatureCache, default_folder, prune

NAMES = ("head", "low")


def columns(rows: int, start: int = 0) -> dict[str, np.ndarray]:
    values = np.arange(start, start + rows, dtype=np.float32)
    return {
        "head": values[:, None] * np.ones(3, np.float32),
        "low": -values[:, None, None] * np.ones((2, 5), np.float32),
    }


def digests(rows: int, start: int = 0) -> list[str]:
    return [f"{i:064x}" for i in range(start, start + rows)]


def test_columns_are_read_in_the_requested_order(tmp_path: Path) -> None:
    cache = FeatureCache("k" * 64, tmp_path)
    cache.write(digests(4), columns(4), "float32")
    cache.write(digests(3, start=4), columns(3, start=4), "float32")
    found = cache.read([*digests(2, start=5), "f" * 64, *digests(1)], NAMES, "float32")
    assert found.known.tolist() == [True, True, False, True]
    assert found.columns["head"][[0, 1, 3], 0].tolist() == [5, 6, 0]
    assert found.columns["low"].shape == (4, 2, 5)
    assert found.columns["low"][1, 1, 4] == -6


def test_keeps_precisions_networks_and_columns_apart(tmp_path: Path) -> None:
    cache = FeatureCache("k" * 64, tmp_path)
    cache.write(digests(2), columns(2), "float32")
    assert not cache.read(digests(2), NAMES, "bfloat16").known.any()
    assert not cache.read(digests(2), (*NAMES, "high"), "float32").known.any()
    assert not FeatureCache("j" * 64, tmp_path).read(digests(2), NAMES, "float32").known.any()


def damage_by_cutting(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def damage_by_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(columns(2)["head"].tobytes()) + 13] ^= 1
    path.write_bytes(content)


def damage_by_emptying(path: Path) -> None:
    path.write_bytes(b"")


def damage_by_another_layout(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, digests=np.array(digests(2), dtype="S"), head=np.zeros(7), low=np.zeros(7))


@pytest.mark.parametrize(
    "damage", [damage_by_cutting, damage_by_one_bit, damage_by_emptying, damage_by_another_layout]
)
def test_a_damaged_file_is_dropped_with_a_warning(tmp_path: Path, damage: object) -> None:
    cache = FeatureCache("k" * 64, tmp_path)
    cache.write(digests(2), columns(2), "float32")
    (path,) = cache.home.glob("*.npz")
    damage(path)  # type: ignore[operator]
    with pytest.warns(UserWarning, match="damaged"):
        found = cache.read(digests(2), NAMES, "float32")
    assert not found.known.any()
    assert not path.exists()
    cache.write(digests(2), columns(2), "float32")
    assert cache.read(digests(2), NAMES, "float32").known.all()


def test_half_written_files_are_never_read_and_go_after_a_day(tmp_path: Path) -> None:
    cache = FeatureCache("k" * 64, tmp_path)
    cache.write(digests(1), columns(1), "float32")
    half = cache.home / ".abc.tmp"
    half.write_bytes(b"PK half a file")
    assert cache.read(digests(1), NAMES, "float32").known.all()
    prune(tmp_path, 100)
    assert half.exists()  # another process may be writing it
    os.utime(half, (time.time() - 2 * 86400,) * 2)
    prune(tmp_path, 100)
    assert not half.exists()


def test_the_least_recently_read_files_are_removed_first(tmp_path: Path) -> None:
    cache = FeatureCache("k" * 64, tmp_path, limit_mb=0.04)
    for i in range(3):
        cache.write(digests(100, start=100 * i), columns(100, start=100 * i), "float32")  # 13 kB each
        for path in cache.home.glob("*.npz"):
            os.utime(path, ns=(path.stat().st_mtime_ns - 10**9,) * 2)
    cache.read(digests(1), NAMES, "float32")
    cache.write(digests(100, start=300), columns(100, start=300), "float32")
    assert sum(path.stat().st_size for path in cache.home.glob("*.npz")) <= 0.04e6
    kept = [cache.read(digests(100, start=100 * i), NAMES, "float32").known.all() for i in range(4)]
    assert kept == [True, False, True, True]


def test_many_at_once(tmp_path: Path) -> None:
    def work(i: int) -> int:
        cache = FeatureCache("k" * 64, tmp_path, limit_mb=0.05)
        cache.write(digests(50, start=50 * i), columns(50, start=50 * i), "float32")
        found = cache.read(digests(1000), NAMES, "float32")
        rows = np.flatnonzero(found.known)
        assert (found.columns["head"][rows, 0] == rows).all()
        return len(rows)

    with ThreadPoolExecutor(4) as pool:
        assert all(rows % 50 == 0 for rows in pool.map(work, range(20)))


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = FeatureCache("k" * 64, tmp_path / "file" / "features")
    with pytest.warns(UserWarning, match="features cannot be cached"):
        cache.write(digests(1), columns(1), "float32")
    assert not cache.read(digests(1), NAMES, "float32").known.any()
    cache.save_note("note", "{}")
    assert cache.load_note("note", json.loads) is None


def test_keeps_notes_and_removes_damaged_ones(tmp_path: Path) -> None:
    cache = FeatureCache("k" * 64, tmp_path)
    assert cache.load_note("one", json.loads) is None
    cache.save_note("one", '{"a": 1}')
    assert cache.load_note("one", json.loads) == {"a": 1}
    (cache.home / "one.json").write_text('{"a"')
    with pytest.warns(UserWarning, match="damaged"):
        assert cache.load_note("one", json.loads) is None


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    assert FeatureCache("k").folder == tmp_path / "features"
    monkeypatch.delenv("GRAFT_CACHE")
    assert default_folder() == Path.home() / ".cache" / "graft" / "features"


def test_a_damaged_note_is_dropped(tmp_path: Path) -> None:
    cache = FeatureCache("key", tmp_path)
    cache.save_note("numbers", json.dumps({"value": 1.5}))
    assert cache.load_note("numbers", lambda text: json.loads(text)["value"]) == 1.5
    with pytest.warns(UserWarning, match="is damaged"):
        assert cache.load_note("numbers", lambda text: json.loads(text)["other"]) is None
    assert cache.load_note("numbers", lambda text: json.loads(text)["value"]) is None
