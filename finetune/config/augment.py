"""The `augment` section of a spec: a list of steps."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, RootModel

from finetune.transforms.augment import AUGMENTATIONS
from zoo.registry import Call


def _absent(value: Any) -> Any:  # noqa: ANN401  whatever the file holds
    return None if value == {} else value


class AugmentSettings(RootModel[list[Any] | None]):
    """The steps in order, each `{step: {p: …, …}}`; an empty list for none, nothing for the default."""

    model_config = ConfigDict(strict=True, frozen=True, defer_build=True)

    root: Annotated[list[Annotated[Call, AUGMENTATIONS.item()]] | None, BeforeValidator(_absent)]

    @property
    def calls(self) -> tuple[Call, ...] | None:
        """The steps; None where the spec leaves the choice to the run."""
        return None if self.root is None else tuple(self.root)
