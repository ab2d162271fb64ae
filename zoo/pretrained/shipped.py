"""The weights in the box, and how an entry `file: NAME` finds its file: beside the spec, else in the box."""

from __future__ import annotations

from pathlib import Path

from zoo.spec.nodes import MapNode, Scalar, text_of

SHIPPED = Path(__file__).resolve().parent.parent / "weights"


def settle_files(document: MapNode) -> MapNode:
    """Write out where the files beside a spec lie, so that its weights are found from anywhere.

    Files in the box keep their bare name, which means the same on every machine.
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


def locate(file: str, folder: Path) -> Path:
    """Give the path of an entry's file: from a spec in `folder`, else in the box, if it is there."""
    path = folder / Path(file).expanduser()
    in_the_box = SHIPPED / file
    return in_the_box if not path.is_file() and in_the_box.is_file() else path
