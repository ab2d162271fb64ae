"""The house holds: no circle between files, few files outside packages, and a document that tells the truth."""

from __future__ import annotations

import re
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pixels", "zoo", "finetune", "serve", "graft")
LOOSE = 8
"""Most files at the top of a package that are in no sub-package."""


def test_no_circle_between_files() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    # Take away, again and again, what imports nothing that is left: what stays is in a circle or above one.
    while free := {module for module, imported in imports.items() if not imported & imports.keys()}:
        imports = {module: imported for module, imported in imports.items() if module not in free}
    while top := imports.keys() - set().union(*imports.values()):
        imports = {module: imported for module, imported in imports.items() if module not in top}
    assert not imports, f"these files import each other: {sorted(imports)}"


@pytest.mark.parametrize("package", ["zoo", "finetune"])
def test_few_files_lie_loose(package: str) -> None:
    loose = sorted(file.name for file in (ROOT / package).glob("*.py"))
    assert len(loose) <= LOOSE, loose


def test_every_file_that_the_document_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:pixels|zoo|finetune|serve|graft|specs|bench|tests|docs)/[\w./-]*)`", text))
    assert len(named) > 25
    assert not {path for path in named if not (ROOT / path).exists()}


def test_every_package_of_finetune_stands_in_the_document() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {file.parent.name for file in (ROOT / "finetune").glob("*/__init__.py")}
    assert not {name for name in packages if f"{name}" not in text}
