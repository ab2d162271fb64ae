"""What tests of augmentation share."""

from collections.abc import Iterator

import pytest
import torch

from finetune.data.pixels import one_thread


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(0)
        yield
