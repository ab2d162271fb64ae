"""Where the file of a weights entry `file: NAME` lies: next to the spec, or among the weights of Graft."""

from __future__ import annotations

from pathlib import Path

from zoo.spec.nodes import MapNode, Scalar, text_of

SHIPPED = Path(__file__).resolve().parent.parent / "weights"


def resolve_weight_files(document: MapNode) -> MapNode:
    """Make the paths of files next to a spec absolute, so that a copy of the spec finds them from any folder.

    Files in `SHIPPED` keep their bare name, which is the same on every machine.
    """
    weights = document.get("weights")
    if not isinstance(weights, MapNode):
        return document
    for name, entry in weights.items.items():
        file = entry.get("file") if isinstance(entry, MapNode) else None
        if not isinstance(entry, MapNode) or not isinstance(file, Scalar) or text_of(file) is None:
            continue
        folder = Path(file.mark.file).parent if file.mark.line else Path()
        path = (folder / Path(str(file.value)).expanduser()).resolve()
        if path.is_file() and path.parent != SHIPPED:
            weights = weights.having(name, entry.having("file", Scalar(str(path), file.mark)))
    return document.having("weights", weights)


def find_weight_file(file: str, folder: Path) -> Path:
    """Return the path of an entry's file: relative to the `folder` of its spec, else in `SHIPPED`."""
    path = folder / Path(file).expanduser()
    shipped = SHIPPED / file
    return shipped if not path.is_file() and shipped.is_file() else path
