"""What tests of downloaded weights share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from weights_kit import small_state, use_folder


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A file of weights in a folder to serve."""
    folder = tmp_path / "published"
    folder.mkdir()
    torch.save(small_state(), folder / "small.pth")
    return folder / "small.pth"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of downloads, empty."""
    return use_folder(monkeypatch, tmp_path / "cache")
