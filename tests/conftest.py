"""What every test shares: one thread a process, since tests run side by side, and no network."""

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for tests that import onnxruntime before serve


@pytest.fixture
def unexported() -> Iterator[None]:
    """Runs of this test write no ONNX file (see small_kit)."""
    from small_kit import without_export  # imports torch, for which the variables above must be set

    with without_export():
        yield
