"""Checkpoints: everything a training run needs to continue as if it had never stopped."""

from __future__ import annotations

import shutil
from pathlib import Path

from accelerate import Accelerator

from finetune.records.run_folder import write_text


def save_checkpoint(accelerator: Accelerator, folder: Path, name: str) -> None:
    """Save all that `accelerator` knows of: weights, optimiser, random states, registered objects.

    The file `latest` is changed only once the new state is complete; older states are deleted after that.
    """
    accelerator.save_state(str(folder / name))
    if accelerator.is_main_process:
        write_text(folder / "latest", name)
        for path in folder.iterdir():
            if path.is_dir() and path.name != name:
                shutil.rmtree(path)
    accelerator.wait_for_everyone()


def load_checkpoint(accelerator: Accelerator, folder: Path) -> bool:
    """Restore the latest complete state. Return False when there is none."""
    latest = folder / "latest"
    if not latest.exists():
        return False
    accelerator.load_state(str(folder / latest.read_text()))
    return True
