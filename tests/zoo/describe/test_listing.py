"""`list`: all specs with their sizes; every spec is checked against its facts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

import zoo.__main__ as command
from zoo.describe import Listing, list_specs
from zoo.describe.listing import as_markdown, print_listing
from zoo.describe.weights import weights_document
from zoo.errors import GraftError

ROOT = Path(__file__).resolve().parents[3]
NET = """\
source: Nobody 1999, A paper
input: {height: 8, width: 8}
classes: 2
facts: {params: FACT}
layers: {flatten: flatten, fc: {linear: {out: $classes}}}
"""


@pytest.fixture(scope="module")
def listing() -> Listing:
    return list_specs()


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str]:
    """Run `python -m zoo list` in this process; return exit status and output."""
    monkeypatch.setattr(sys, "argv", ["zoo", "list", *arguments])
    with pytest.raises(SystemExit) as caught:
        command.main()
    return int(caught.value.code or 0), capsys.readouterr().out


def folder_of(tmp_path: Path, *facts: int) -> str:
    for number, fact in enumerate(facts):
        (tmp_path / f"net{number}.yaml").write_text(NET.replace("FACT", str(fact)))
    return str(tmp_path)


def test_no_fact_of_the_zoo_is_violated(listing: Listing) -> None:
    assert listing.errors == ()
    assert listing.mistakes == ()


def test_specs_are_listed_and_recipes_are_not(listing: Listing) -> None:
    files = {path for path in ROOT.glob("specs/**/*.yaml") if path.parent.name != "pretrain"}
    files -= {ROOT / "specs/auto.yaml"}  # chooses among the others
    assert {listed.path for listed in listing.specs} == files
    assert len(files) > 20
    assert {"lenet5", "unet"} <= {listed.name for listed in listing.specs}


def test_the_oldest_network_comes_first(listing: Listing) -> None:
    years = [listed.year for listed in listing.specs if listed.year]
    assert years == sorted(years)
    assert years[0] == 1998
    first = listing.specs[0]
    assert (first.name, first.input, first.params, first.macs) == ("lenet5", (1, 32, 32), 61_706, 416_520)


@pytest.mark.parametrize(
    ("name", "params", "year"),
    [
        ("alexnet", 61_100_840, 2014),
        ("alexnet_2012", 60_965_224, 2012),
        ("vgg16", 138_357_544, 2014),
        ("resnet18", 11_689_512, 2015),
        ("resnet34", 21_797_672, 2015),
        ("resnet50", 25_557_032, 2015),
        ("resnet101", 44_549_160, 2015),
        ("resnet152", 60_192_808, 2015),
        ("densenet121", 7_978_856, 2016),
        ("densenet161", 28_681_000, 2016),
        ("densenet169", 14_149_480, 2016),
        ("densenet201", 20_013_928, 2016),
    ],
)
def test_published_sizes(name: str, params: int, year: int, listing: Listing) -> None:
    listed = next(listed for listed in listing.specs if listed.name == name)
    assert (listed.params, listed.year, listed.has_facts) == (params, year, True)


def test_the_document_has_the_table(listing: Listing) -> None:
    assert as_markdown(listing) in (ROOT / "docs" / "zoo.md").read_text()


def test_the_document_has_the_origin_of_all_weights() -> None:
    assert weights_document() in (ROOT / "docs" / "zoo.md").read_text()


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    status, printed = run(capsys, monkeypatch, folder_of(tmp_path, 386, 386))
    assert status == 0
    assert [line.split() for line in printed.splitlines() if line] == [
        ["network", "task", "input", "parameters", "MACs", "facts", "weights"],
        ["1999", "Nobody,", "A", "paper"],
        ["net0", "classification", "3x8x8", "386", "384", "hold", "-"],
        ["net1", "classification", "3x8x8", "386", "384", "hold", "-"],
        ["2", "networks,", "no", "fact", "violated"],
    ]


def test_weights_that_are_not_available_are_in_brackets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.pth").write_bytes(b"weights")
    weights = "weights: {mine: {file: here.pth}, gone: {file: gone.pth}}\n"
    (tmp_path / "net.yaml").write_text(NET.replace("FACT", "386") + weights)
    monkeypatch.setenv("COLUMNS", "120")
    status, printed = run(capsys, monkeypatch, str(tmp_path))
    assert status == 0
    assert "mine (gone)" in printed
    assert "graft zoo pull SPEC" in printed


def test_a_violated_fact_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, printed = run(capsys, monkeypatch, folder_of(tmp_path, 386, 387))
    assert status == 2
    assert [line.split()[5] for line in printed.splitlines() if line.startswith("net")][1:] == [
        "hold",
        "violated",
    ]
    assert "2 networks, 1 mistake:" in printed
    mistake = f"{tmp_path / 'net1.yaml'}: params: expected 387, found 386"
    assert "".join(mistake.split()) in "".join(printed.split())  # a long path is folded


def test_a_violated_fact_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, width=200, color_system="standard")
    monkeypatch.setattr("zoo.describe.listing.make_console", lambda: console)
    with console.capture() as captured:
        print_listing(list_specs(Path(folder_of(tmp_path, 1))), "table")
    red = [line for line in captured.get().splitlines() if "\x1b[31m" in line or "\x1b[1;31m" in line]
    assert len(red) == 2
    assert "net0" in red[0]
    assert "params: expected 1, found 386" in red[1]


def test_a_broken_spec_is_reported_and_the_others_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, 386)
    (tmp_path / "broken.yaml").write_text("classes: 2\nlayers: {fc: {linear: {aut: 2}}}\n")
    hidden = tmp_path / ".venv"
    hidden.mkdir()
    (hidden / "other.yaml").write_text("not a spec")
    status, printed = run(capsys, monkeypatch, folder)
    assert status == 2
    assert "net0" in printed
    assert "1 network, 1 mistake:" in printed
    assert "unknown key 'aut'" in printed


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status, printed = run(capsys, monkeypatch, folder_of(tmp_path, 385), "--format", "json")
    assert status == 2
    assert json.loads(printed) == {
        "specs": [
            {
                "name": "net0",
                "path": str(tmp_path / "net0.yaml"),
                "year": 1999,
                "source": "Nobody 1999, A paper",
                "task": "classification",
                "input": [3, 8, 8],
                "params": 386,
                "macs": 384,
                "available_weights": [],
                "unavailable_weights": [],
                "has_facts": True,
                "violated_facts": ["params: expected 385, found 386"],
            }
        ],
        "errors": [],
    }


def test_folder_without_specs(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match=r"no specs \(\*\.yaml\) in this folder"):
        list_specs(tmp_path)
