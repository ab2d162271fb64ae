"""Verifying a run folder against its manifest before anything of it is used. All readers come here."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from files import DamagedFileError, remove_temporaries
from files.paths import expand_home
from finetune.records.disk import explain_write_errors
from finetune.records.files import write_text
from finetune.records.run_folder import LATEST, RunFolder, is_first_process, lock_folder
from zoo.errors import GraftError


def open_run(path: str | Path, *, but: Collection[str] = ()) -> RunFolder:
    """Return the folder of a run, once every file in its manifest is as it was written, except `but`.

    Raises: GraftError that names the first damaged file, or for a folder without a run.
    """
    folder = RunFolder(expand_home(path))
    if not folder.recipe.exists() and not folder.manifest.path.exists():
        raise GraftError(f"{folder.path}: no run here\n  expected: the folder of a run, such as runs/NAME/ID")
    damaged = [error for error in _find_damaged(folder) if _name(folder, error) not in but]
    if damaged:
        raise _explain(folder, damaged)
    return folder


@contextmanager
def change_run(path: str | Path, *, but: Collection[str] = ()) -> Iterator[RunFolder]:
    """Verify the folder of a run as `open_run`, and keep other processes from it while it is changed.

    Raises: GraftError as `open_run`, and when another process works in the folder.
    """
    with lock_folder(folder := open_run(path, but=but)):
        with explain_write_errors(folder.path):
            folder.manifest.compact()
        yield folder


def claim_folder(folder: RunFolder) -> list[str]:
    """Verify the folder of a run that continues, or start a manifest in a new one; its lock is held.

    Where the newest state of a training is damaged and the one before it is there, the training continues
    from that; a report that was lost is made again. Out: a message about each.
    Raises: GraftError that names the first damaged file.
    """
    if not is_first_process():  # of several that train one run together
        return []
    with explain_write_errors(folder.path):
        if not folder.recipe.exists() and not folder.manifest.path.exists():
            folder.manifest.start()
            return []
        remove_temporaries(folder.path)
        damaged, messages = list(_find_damaged(folder)), list[str]()
        for error in [error for error in damaged if _is_made_again(folder, error.path)]:
            folder.manifest.forget(error.path)
            damaged.remove(error)
            messages.append(f"{error}; it is made again")
        for checkpoint in {_checkpoint_of(folder, error.path) for error in damaged} - {None}:
            assert checkpoint is not None
            of_it = [error for error in damaged if checkpoint in error.path.parents]
            if not checkpoint.exists():  # removed by the user, to train from the beginning
                folder.manifest.forget(checkpoint)
            elif message := _use_state_before(folder, checkpoint, of_it):
                messages.append(message)
            else:
                continue
            damaged = [error for error in damaged if error not in of_it]
        if damaged:
            raise _explain(folder, damaged)
        folder.manifest.compact()
    return messages


def _is_made_again(folder: RunFolder, path: Path) -> bool:
    """Whether a lost file is a result of the training, which a run without a report makes again."""
    made = (folder.report, folder.novelty, folder.onnx)
    return path in made and not path.exists() and not folder.report.exists()


def _find_damaged(folder: RunFolder) -> Iterator[DamagedFileError]:
    try:  # the page for people is never read
        yield from (error for error in folder.manifest.damaged() if error.path != folder.page)
    except DamagedFileError as error:  # the manifest itself
        yield error


def _checkpoint_of(folder: RunFolder, path: Path) -> Path | None:
    """Return the checkpoint that the path is part of: of the run, or of a training inside it."""
    inside = [parent for parent in path.parents if folder.path in parent.parents]
    return next((parent for parent in inside if parent.name == folder.checkpoint.name), None)


def _use_state_before(
    folder: RunFolder, checkpoint: Path, damaged: Collection[DamagedFileError]
) -> str | None:
    """Let `latest` name a state of which no file is damaged; return None where there is none."""
    bad = {error.path.parent for error in damaged} - {checkpoint}
    whole = [path for path in folder.manifest.folders(checkpoint) if path not in bad]
    if not whole:
        return None
    for state in bad:
        folder.manifest.forget(state)
    write_text(checkpoint / LATEST, whole[-1].name)
    return f"{next(iter(damaged))}; training continues from {whole[-1].name}"


def _explain(folder: RunFolder, damaged: Collection[DamagedFileError]) -> GraftError:
    """Return an error with the first damaged file, and what can be done."""
    [first, *others] = damaged
    checkpoint = _checkpoint_of(folder, first.path)
    if checkpoint is not None:
        way_out = f"without the folder {checkpoint} this training starts from the beginning"
    elif first.path.suffix == ".onnx":
        way_out = f"`graft export {folder.path}` writes it again"
    else:
        way_out = "without a copy of it, train again with another --run"
    more = f" ({len(others)} more are damaged)" if others else ""
    return GraftError(f"{first}{more}\n  expected: the file as the run wrote it; {way_out}")


def _name(folder: RunFolder, error: DamagedFileError) -> str:
    return error.path.relative_to(folder.path).as_posix()
