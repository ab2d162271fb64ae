"""No circle between files, few files outside packages, and docs/architecture.md names what there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("files", "pixels", "zoo", "finetune", "serve", "graft")
DOCUMENT = (ROOT / "docs" / "architecture.md").read_text()
PATHS = re.findall(r"`((?:files|pixels|zoo|finetune|serve|graft|specs|bench|tests|docs)/[\w./-]*)`", DOCUMENT)
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


def test_every_path_in_the_document_exists() -> None:
    assert len(PATHS) > 60
    assert [path for path in PATHS if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("package", ["zoo", "finetune", "serve"])
def test_every_package_is_in_the_document(package: str) -> None:
    packages = {f"{package}/{file.parent.name}/" for file in (ROOT / package).glob("*/__init__.py")}
    loose = {f"{package}/{file.name}" for file in (ROOT / package).glob("*.py")}
    assert packages | loose <= {*PATHS, f"{package}/__init__.py", f"{package}/__main__.py"}


def test_the_levels_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["name"] == "the levels of finetune")
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", DOCUMENT, re.MULTILINE)
    found = [set(re.findall(r"`finetune/(\w+)", packages)) for _, packages in rows]
    assert found == [set(re.split(r" [|:] ", layer)) for layer in layers]
    assert [int(level) for level, _ in rows] == list(range(len(layers), 0, -1))
