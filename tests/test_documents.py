"""The documents: every command parses, every link leads somewhere, and code to copy is tested."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import typer.main

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHER_PROGRAMS = ("source", "python", "pip", "npm", "mkdir", "cp", "tensorboard")
"""Commands in the documents that are not Graft's."""
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def commands(page: Path) -> list[str]:
    """Return the lines of a page's `sh` blocks, without comments."""
    text = "\n".join(BLOCK.findall(page.read_text())).replace("\\\n", " ")
    return [line.partition("  #")[0].strip() for line in text.splitlines() if line.strip()]


COMMANDS = sorted({line for page in PAGES for line in commands(page)})


def parse(app: typer.Typer, name: str, arguments: list[str]) -> None:
    """Parse a command line as the program does, without running it. Raises: UsageError."""
    command = typer.main.get_command(app)
    context = None
    if arguments == ["--help"]:
        return
    while True:
        context = command.make_context(name, [*arguments], parent=context)
        if not hasattr(command, "resolve_command"):
            return
        resolved, command, arguments = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert command is not None
        name = resolved or ""


def check_files(words: list[str]) -> None:
    """Specs and files of the repository that a command names must exist."""
    for word in words:
        path = word.rpartition("=")[2] if word.startswith("SPEC=") else word
        if path.startswith(("specs/", "docs/")):
            assert (ROOT / path).is_file(), path


def check_graft(words: list[str]) -> None:
    from graft.__main__ import app

    parse(app, "graft", words)


def check_make(words: list[str]) -> None:
    """`make -n` prints what would run; every program of Graft's in it must parse."""
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.replace("\\\n", " ").splitlines():
        found = re.match(r"\S+/python -m (\w+)\b(.*)", line)
        if found is None:
            continue
        module, rest = found[1], shlex.split(found[2])
        if module in ("finetune", "zoo", "serve"):
            parse(importlib.import_module(f"{module}.__main__").app, module, rest)
        else:
            assert importlib.util.find_spec(module) is not None


def check_curl(words: list[str]) -> None:
    """The address must be one of the server's."""
    from serve.app import create_app
    from serve.registry import Registry

    address = next(word for word in words if ":8000" in word)
    pattern = re.sub(r"/models/[^/]+", "/models/{name}", address.rpartition(":8000")[2])
    assert pattern in create_app(Registry([])).openapi()["paths"]


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line: str) -> None:
    program, *words = shlex.split(line.partition(" > ")[0])
    check_files(words)
    if program == "graft":
        check_graft(words)
    elif program == "make":
        check_make(words)
    elif program == "curl":
        check_curl(words)
    else:
        assert program in OTHER_PROGRAMS


def test_a_wrong_option_is_found() -> None:
    for line in ("plan --dat photos", "plann", "zoo describe", "search SPEC --trials 3"):
        with pytest.raises(Exception, match=r"(?i)no such|missing|unexpected"):
            check_graft(line.split())
    with pytest.raises(AssertionError, match="nothing_here"):
        check_make(["nothing_here"])


def test_help_of_make_and_graft() -> None:
    targets = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "graft", "--help"]
    program = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert "make finetune" in targets
    assert all(name in program for name in ("finetune", "plan", "predict", "demo", "serve", "zoo"))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> Iterator[str]:
    """Yield the links of a page that do not lead to other sites."""
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        if not target.startswith(("http:", "https:")):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def block_after(page: str, mark: str, language: str) -> str:
    found = re.search(rf"<!-- {mark} -->\s*```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert found is not None, f"{page}: no {mark}"
    return found[1]


def test_every_page_has_the_same_javascript() -> None:
    javascript = block_after("docs/artifact.md", "load-javascript", "js")
    assert block_after("README.md", "load-javascript", "js") == javascript
    page = {line.strip() for line in block_after("docs/tutorial.md", "web-page", "html").splitlines()}
    assert set(javascript.splitlines()[:-1]) <= page


def test_the_sample_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block_after("docs/tutorial.md", "sample-photos", "python"), "sample.py", "exec"), {})
    assert sorted(folder.name for folder in Path("photos").iterdir()) == [*"0123456789"]
    named = re.findall(r"photos/\d/\d\.png", (ROOT / "docs" / "tutorial.md").read_text())
    assert len(named) > 3 and all(Path(file).is_file() for file in named)
