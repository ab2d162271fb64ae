"""Every bad spec beside its whole expected message: place, culprit, what is right, the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

import zoo
from zoo.errors import GraftError

ROOT = Path(__file__).resolve().parents[2]
BAD = sorted(Path(__file__).parent.glob("bad/*.yaml"))


def message_of(path: Path) -> str:
    """Return what a user reads who builds a spec; `weights_*` are asked for weights they do not declare."""
    weights = "mime" if path.name.startswith("weights_") else None
    with pytest.raises(GraftError) as caught:
        zoo.build(path, weights=weights)
    return str(caught.value)


def test_there_are_bad_specs() -> None:
    assert len(BAD) >= 40


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_spec_gives_its_message(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    expected = path.with_suffix(".txt").read_text(encoding="utf-8")
    assert message_of(path.relative_to(ROOT)) + "\n" == expected
