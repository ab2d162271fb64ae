"""Checkpoints: everything a training run needs to go on as if it had never been broken off."""

from __future__ import annotations

import shutil
from pathlib import Path

from accelerate import Accelerator

from finetune.records.run_folder import write_text


def save_checkpoint(accelerator: Accelerator, folder: Path, name: str) -> None:
    """Save all that `accelerator` knows of (weights, optimiser, random states, registered objects).

    The pointer file `latest` moves only once the new state is whole; older states go after that.
    """
    accelerator.save_state(str(folder / name))
    if accelerator.is_main_process:
        write_text(folder / "latest", name)
        for path in folder.iterdir():
            if path.is_dir() and path.name != name:
                shutil.rmtree(path)
    accelerator.wait_for_everyone()


def load_checkpoint(accelerator: Accelerator, folder: Path) -> bool:
    """Put back the latest whole state; False when there is none yet."""
    latest = folder / "latest"
    if not latest.exists():
        return False
    accelerator.load_state(str(folder / latest.read_text()))
    return True
