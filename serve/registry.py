"""The models of a server, by name and version, loaded again when their files are replaced."""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from serve.artifact import ArtifactError
from serve.model_files import ModelFile, Signature, find_model_files, newest_first
from serve.predictor import Predictor
from serve.trial import try_model

LOADED, REFUSED = "loaded", "refused"

_logger = logging.getLogger("graft.models")


class UnknownModelError(Exception):
    """No model has that name and version."""


@dataclass(frozen=True)
class Served:
    """A loaded model. A request keeps the one that it began with, also when the file is replaced."""

    name: str
    version: str
    predictor: Predictor


@dataclass
class _Known:
    """What is known of one file: what was last tried, what it gave, and what the last look saw."""

    tried: Signature | None = None
    seen: Signature | None = None
    predictor: Predictor | None = None


class Registry:
    """The models of files, of folders of runs, and of folders of models. Safe to use from several threads.

    In a folder of models, names and versions are those of its folders, `NAME/VERSION/model.onnx`; without the
    second the version is 1. Of each name, the `versions` newest that can be loaded are served. A file of its
    own is named after its spec; a second one of the same spec gets a number.

    `refresh` looks for what has changed. A new file is tried in full before it takes over; one that is
    refused changes nothing. `changes` counts what happened by name; `errors` says what is wrong now, by path.
    """

    def __init__(self, paths: Sequence[str | Path], threads: int | None = None, versions: int = 1) -> None:
        self._paths, self._threads, self._versions = [Path(path) for path in paths], threads, versions
        self._known: dict[Path, _Known] = defaultdict(_Known)
        self._names: dict[Path, str] = {}
        self._before: list[ModelFile] = []
        self._models: dict[str, dict[str, Served]] = {}
        self._lock = threading.Lock()
        self.changes: Counter[tuple[str, str]] = Counter()
        self.errors: dict[Path, ArtifactError] = {}
        self._look(at_once=True)

    @property
    def models(self) -> dict[str, dict[str, Served]]:
        """The loaded models by name, and of each the versions, newest first. Not to be changed."""
        return self._models

    def find(self, name: str | None = None, version: str | None = None) -> Served:
        """Return a model; without a name the first, without a version the newest.

        Raises: UnknownModelError if there is none.
        """
        models = self._models
        name = next(iter(models), "") if name is None else name
        if name not in models:
            raise UnknownModelError(f"no model {name!r}; expected one of: {', '.join(models)}")
        found = models[name]
        if version is None:
            return next(iter(found.values()))
        if version not in found:
            raise UnknownModelError(
                f"no version {version!r} of {name!r}; expected one of: {', '.join(found)}"
            )
        return found[version]

    def refresh(self) -> None:
        """Load what is new. A file that has changed since the last look may still be written, and waits."""
        self._look(at_once=False)

    def _look(self, *, at_once: bool) -> None:
        with self._lock:
            found = find_model_files(self._paths)
            # A file that is being replaced may be missing for a moment: it counts until the next look.
            files = list(dict.fromkeys([*found, *self._before]))
            self._before = found
            groups: dict[object, list[ModelFile]] = defaultdict(list)
            for file in files:
                groups[file.name or file.path].append(file)
            models: dict[str, dict[str, Served]] = {}
            for group in groups.values():
                for file, predictor in self._newest(group, at_once=at_once):
                    name = self._name(file, predictor, {each.name for each in files})
                    models.setdefault(name, {}).setdefault(
                        file.version, Served(name, file.version, predictor)
                    )
            self._forget({file.path for file in files})
            self._models = models

    def _newest(self, group: list[ModelFile], *, at_once: bool) -> list[tuple[ModelFile, Predictor]]:
        """Load the newest versions of a model that can be loaded, and let go of the others."""
        newest: list[tuple[ModelFile, Predictor]] = []
        for file in newest_first(group):
            if len(newest) == self._versions:
                self._known.pop(file.path, None)
                continue
            self._update(file, at_once=at_once)
            predictor = self._known[file.path].predictor
            if predictor is not None:
                newest.append((file, predictor))
        return newest

    def _update(self, file: ModelFile, *, at_once: bool) -> None:
        """Load a file unless it was tried before, or changed since the last look."""
        known, signature = self._known[file.path], Signature.of(file.file)
        settled, known.seen = at_once or signature == known.seen, signature
        if signature is None and not at_once:
            return  # what is loaded stays
        if not at_once and (not settled or signature == known.tried):
            return
        try:
            try_model(file.path)
            predictor = Predictor(file.path, self._threads)
        except ArtifactError as error:
            outcome, self.errors[file.path] = REFUSED, error
        else:
            if Signature.of(file.file) != signature:
                return  # replaced meanwhile, which the next look sees
            outcome, known.predictor = LOADED, predictor
            self.errors.pop(file.path, None)
            _logger.info("model loaded: %s", file.file)
        known.tried = signature
        if outcome == REFUSED and not at_once:  # those of the start are told by who asked
            _logger.error("model refused: %s", self.errors[file.path])
        self.changes[self._names.get(file.path) or file.name or file.path.stem, outcome] += 1

    def _name(self, file: ModelFile, predictor: Predictor, taken: Set[str | None]) -> str:
        """Return the name of a model, which a file of its own keeps when it is replaced."""
        if file.name is not None:
            return file.name
        if file.path not in self._names:
            name = stem = predictor.metadata.spec or file.file.stem
            number = 1
            while name in taken or name in self._names.values():
                number += 1
                name = f"{stem}-{number}"
            self._names[file.path] = name
        return self._names[file.path]

    def _forget(self, there: Set[Path]) -> None:
        """Let go of models whose files are no longer in their folder of models."""
        for path in [each for each in (*self._known, *self.errors) if each not in there]:
            self._known.pop(path, None)
            self.errors.pop(path, None)
            _logger.info("model removed: %s", path)
