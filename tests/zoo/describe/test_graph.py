"""`describe --graph`: the network in the language of Graphviz, drawn where `dot` is installed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import zoo
import zoo.__main__ as command
from zoo.describe import Description, describe
from zoo.describe.graph import as_dot, write_graph
from zoo.errors import GraftError

ROOT = Path(__file__).resolve().parents[3]
NODE = re.compile(r'^ *"([^"]*)" \[label="([^"]*)"', re.MULTILINE)
EDGE = re.compile(r'^ *"([^"]*)" -> "([^"]*)"$', re.MULTILINE)
CLUSTER = re.compile(r'subgraph "(cluster [^"]*)"')


@pytest.fixture(scope="module")
def resnet() -> Description:
    return describe(zoo.read_spec("resnet20"))


def fake_dot(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    program = folder / "dot"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize("name", ["resnet20", "vgg11", "specs/examples/unet.yaml"])
def test_every_layer_is_a_node_and_every_input_an_edge(name: str) -> None:
    description = describe(zoo.read_spec(name))
    text = as_dot(description)
    nodes = [name for name, _ in NODE.findall(text)]
    assert nodes == [":image", *(row.id for row in description.layers)]
    assert EDGE.findall(text) == [(source, row.id) for row in description.layers for source in row.sources]
    clusters = CLUSTER.findall(text)
    assert len(set(clusters)) == len(clusters)
    assert text.count("{") == text.count("}")


def test_layers_are_grouped_by_stage_and_block(resnet: Description) -> None:
    text = as_dot(resnet)
    block = text[text.index('label="layer2.0"') :].partition("}")[0]
    inside = [row.path for row in resnet.below("layer2.0")]
    assert [name for name, _ in NODE.findall(block)] == inside
    assert [name for name in CLUSTER.findall(text) if name.count(" ") == 2] == [
        "cluster stage 1", "cluster stage 2", "cluster stage 3",
    ]  # fmt: skip
    assert ("conv1", r"conv 3x3\n16x32x32") in NODE.findall(text)


def test_the_command_writes_a_dot_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out.dot"
    monkeypatch.setattr(sys, "argv", ["zoo", "describe", "lenet5", "--graph", str(file)])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert not caught.value.code
    assert "61,706 parameters" in capsys.readouterr().out
    text = file.read_text()
    assert text == as_dot(describe(zoo.read_spec("lenet5")))
    assert text[: text.index('  subgraph "cluster stage 2"')] in (ROOT / "docs" / "zoo.md").read_text()


def test_a_picture_is_drawn_by_dot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet: Description
) -> None:
    fake_dot(tmp_path, monkeypatch, 'echo "$1" > "$3"; cat >> "$3"')
    write_graph(resnet, tmp_path / "out.svg")
    assert (tmp_path / "out.svg").read_text() == "-Tsvg\n" + as_dot(resnet)


def test_a_picture_without_dot_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet: Description
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GraftError) as caught:
        write_graph(resnet, tmp_path / "out.svg")
    assert str(caught.value) == (
        f"{tmp_path / 'out.svg'}: a .svg file needs Graphviz, and its program `dot` is not on the PATH\n"
        "  expected: an installation of Graphviz, or out.dot as the file"
    )


def test_a_file_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet: Description
) -> None:
    with pytest.raises(GraftError, match=r"out\.txt: unknown kind of graph"):
        write_graph(resnet, tmp_path / "out.txt")
    with pytest.raises(GraftError, match=r"out\.dot: the graph cannot be written: No such file"):
        write_graph(resnet, tmp_path / "missing" / "out.dot")
    fake_dot(tmp_path, monkeypatch, "echo broken >&2; exit 1")
    with pytest.raises(GraftError, match=r"out\.svg: the graph cannot be drawn: broken"):
        write_graph(resnet, tmp_path / "out.svg")
