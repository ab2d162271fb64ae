"""What is watched while a network learns."""

from __future__ import annotations

from finetune.config.switch import Settings
from finetune.optim.ranges import Count


class MonitorSettings(Settings):
    """What is measured after each epoch, beside the validation."""

    images: Count = 256
    """Most training images that the training score is measured on; one in eight, from 64 up, if less."""
    pictures: bool = False
    """Draw the first layer's filters and some activations when training has ended."""
