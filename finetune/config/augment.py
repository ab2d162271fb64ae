"""The `augment` section of a spec: a list of augmentations."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, RootModel

from finetune.transforms.augmentations import AUGMENTATIONS
from zoo.registry import Call


def _none_if_absent(value: Any) -> Any:  # noqa: ANN401  any YAML value
    return None if value == {} else value


class AugmentSettings(RootModel[list[Any] | None]):
    """The augmentations in order, each `{name: {p: …, …}}`; [] for none; by default some that suit the
    classes."""

    model_config = ConfigDict(strict=True, frozen=True, defer_build=True)

    root: Annotated[list[Annotated[Call, AUGMENTATIONS.item()]] | None, BeforeValidator(_none_if_absent)]

    @property
    def calls(self) -> tuple[Call, ...] | None:
        """The augmentations; None where the spec does not name any."""
        return None if self.root is None else tuple(self.root)
