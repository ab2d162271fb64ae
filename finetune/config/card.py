"""The `card` section: what is said of weights that are trained to be shipped."""

from __future__ import annotations

from pydantic import Field

from finetune.config.switch import Settings


class CardSettings(Settings):
    """What a run cannot know of itself; `make pretrain` writes it on the card of the weights."""

    data: str = "not stated"
    """The images that are trained on, in words."""
    licence: str = "not stated"
    """What the images and so the weights may be used for."""
    notes: list[str] = Field(default=[])
    """More that a user of the weights should know."""
