"""Nodes know where they were written; whatever a file holds, there is a message and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import GraftError, Mark, Problem, SpecError, nearest
from zoo.spec.nodes import ListNode, MapNode, plain
from zoo.spec.yaml import read_file, read_text

TEXT = """\
name: net
layers:
  conv1: {conv: {out: 64, kernel: [3, 5]}}
  - odd
"""


def test_marks_count_lines_and_columns_from_one() -> None:
    node = read_text(TEXT.replace("  - odd\n", ""), "net.yaml")
    layers = node.items["layers"]
    assert isinstance(layers, MapNode)
    assert str(layers.keys["conv1"]) == "net.yaml:3:3"
    conv1 = layers.items["conv1"]
    assert isinstance(conv1, MapNode)
    conv = conv1.items["conv"]
    assert isinstance(conv, MapNode)
    assert str(conv.keys["kernel"]) == "net.yaml:3:27"
    kernel = conv.items["kernel"]
    assert isinstance(kernel, ListNode)
    assert kernel.mark.length == len("[3, 5]")
    assert str(kernel.items[1].mark) == "net.yaml:3:39"
    assert plain(node) == {"name": "net", "layers": {"conv1": {"conv": {"out": 64, "kernel": [3, 5]}}}}


def test_syntax_error_has_a_place() -> None:
    with pytest.raises(SpecError) as caught:
        read_text(TEXT, "net.yaml")
    (problem,) = caught.value.problems
    assert str(problem.mark) == "net.yaml:4:3"
    assert problem.message.startswith("not YAML: ")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    with pytest.raises(SpecError) as caught:
        read_text("a: no\nb: &x 1\na: 012\nc: *x\n<<: {}\n", "net.yaml")
    assert [problem.mark.line for problem in caught.value.problems if problem.mark] == [1, 2, 3, 3, 4, 5]


def test_missing_and_binary_files_are_told_of(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match=r"gone\.yaml: cannot be read: No such file"):
        read_file(tmp_path / "gone.yaml", "gone.yaml")
    with pytest.raises(GraftError, match="cannot be read: Is a directory"):
        read_file(tmp_path, "folder")
    (tmp_path / "weights.yaml").write_bytes(b"\x80\x02\xff")
    with pytest.raises(GraftError, match="not a text file"):
        read_file(tmp_path / "weights.yaml", "weights.yaml")


def test_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_bytes(b"\xef\xbb\xbfname: net\n")
    assert plain(read_file(tmp_path / "net.yaml", "net.yaml")) == {"name": "net"}


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet=st.sampled_from("ab:,-[]{}#&*!|>'\"%@` \n\t0129.~?<=$\\x\x00\x85\ud800é"), max_size=40)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_text(text, "any")
    except SpecError as error:
        assert str(error)


def test_long_line_is_cut_around_the_culprit() -> None:
    line = "weights: [" + ", ".join(["0.125"] * 100) + ", wide]"
    problem = Problem(
        Mark("net.yaml", 1, line.index("wide") + 1, line, 4), "weights.100", "found the text 'wide'"
    )
    head, shown, carets = problem.render().splitlines()
    assert head == "net.yaml:1:711: weights.100: found the text 'wide'"
    assert len(shown) <= 164
    assert shown[carets.index("^") :].startswith("wide")
    assert carets.count("^") == 4


def test_the_same_problem_is_told_once() -> None:
    mark = Mark("net.yaml", 2, 1, "x: 1")
    problem = Problem(mark, "x", "wrong")
    first = Problem(Mark("net.yaml", 1, 1, "y: 1"), "y", "wrong too")
    assert SpecError([problem, problem, first]).problems == (first, problem)


@pytest.mark.parametrize(("name", "expected"), [("kernal", "kernel"), ("KERNEL", "kernel"), ("zzz", "")])
def test_nearest_name(name: str, expected: str) -> None:
    assert nearest(name, ["out", "kernel", "stride"]) == expected
