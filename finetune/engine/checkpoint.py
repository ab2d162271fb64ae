"""Checkpoints: the state of a training as safetensors and JSON, of which nothing is ever executed."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from finetune.records.files import check_written, read_tensors, remove, write_tensors, write_text
from finetune.records.packing import pack, unpack
from finetune.records.run_folder import LATEST
from zoo.errors import GraftError

STATE, TENSORS = "state.json", "tensors.safetensors"
FORMAT, RANDOM = 1, "random"
DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, IndexError)


class Stateful(Protocol):
    """What a checkpoint holds: a network, an optimiser, counts, callbacks."""

    def state_dict(self) -> Mapping[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any], /) -> object: ...


@dataclass(frozen=True)
class Checkpoint:
    """The states of a training in `folder`, each in a folder of its own; `parts` are what they hold, by name.

    The file `latest` names the newest state. The one before it is removed once the new one was read back from
    the disk and is named there.
    """

    folder: Path
    parts: Mapping[str, Stateful]

    def save(self, name: str) -> None:
        """Save the state of all parts, and the random states. Raises: WriteError; the state before stays."""
        states = {key: part.state_dict() for key, part in self.parts.items()}
        values, tensors = pack({**states, RANDOM: random_states()})
        write_tensors(self.folder / name / TENSORS, tensors)
        write_text(self.folder / name / STATE, json.dumps({"format": FORMAT, "states": values}))
        for file in (TENSORS, STATE):
            check_written(self.folder / name / file)
        write_text(self.folder / LATEST, name)
        for path in self.folder.iterdir():
            if path.is_dir() and path.name != name:
                remove(path)

    def load(self) -> bool:
        """Restore the newest state. Return False when there is none.

        Raises: GraftError for a state that cannot be read, or is not one of these parts.
        """
        if not (self.folder / LATEST).exists():
            return False
        place = self.folder / (self.folder / LATEST).read_text(encoding="utf-8")
        try:
            read = json.loads((place / STATE).read_text(encoding="utf-8"))
            states = unpack(read["states"], read_tensors(place / TENSORS))
            if read["format"] != FORMAT or states.keys() != {*self.parts, RANDOM}:
                raise ValueError(f"format {read['format']} of {', '.join(map(str, states))}")
            for key, part in self.parts.items():
                part.load_state_dict(states[key])
            restore_random_states(states[RANDOM])
        except DAMAGE as error:
            reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
            raise GraftError(
                f"{place}: this state of the training cannot be restored: {reason}\n"
                "  expected: a state of this spec from this version of Graft; without the folder "
                f"{self.folder} training starts from the beginning"
            ) from error
        return True


def random_states() -> dict[str, Any]:
    """Return the states of the random generators that augmentations and layers may draw from."""
    kind, keys, *position = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys, np.int64)), *position),
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Restore what `random_states` returned; of other graphics cards than here, nothing."""
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    random.setstate(states["python"])
    kind, keys, *position = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *position))
