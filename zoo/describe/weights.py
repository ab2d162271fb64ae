"""Origin, licence and hash of every entry of weights that the specs declare."""

from __future__ import annotations

from pathlib import Path

from zoo.api import read_spec
from zoo.describe.text import markdown_table
from zoo.pretrained.sources import find_source
from zoo.spec.inherit import SPECS, SUFFIX
from zoo.spec.nodes import MapNode

COLUMNS = ("network", "weights", "from", "SHA-256, or how it starts", "licence")


def weights_document(folder: Path = SPECS) -> str:
    """Return a table, in Markdown, of the weights that are declared in the files of a folder.

    Entries that a library adds to its own networks are not listed.
    Raises: SpecError, WeightsError.
    """
    rows = []
    for path in sorted(folder.glob("*" + SUFFIX)):
        spec = read_spec(path)
        declared = spec.document.get("weights")
        for name in declared.items if isinstance(declared, MapNode) else ():
            source = find_source(spec, name)
            digest = source.file.sha256
            shown = f"`{digest}`" if digest else "not stated"
            rows.append((spec.name, name, source.origin, shown, source.licence))
    return "\n".join(markdown_table(COLUMNS, rows, numbers=len(COLUMNS))) + "\n"
