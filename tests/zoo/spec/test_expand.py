"""The rules of the language, one by one: what a spec's items become."""

from __future__ import annotations

from pathlib import Path

from nets import ops_of, spec_of

from zoo.spec.spec import Spec
from zoo.spec.tree import INPUT, leaves

BLOCKS = """\
blocks:
  pair:
    params: {out: int, stride: 1}
    layers:
      - {conv: {out: $out, kernel: 3, stride: $stride, padding: 1}}
      - act
  named:
    params: {out: 8}
    layers:
      conv: {conv: {out: $out, kernel: 1}}
      act: act
choices: {act: relu}
"""


def body(spec: Spec) -> list[tuple[str, str]]:
    """Return the layers before the classifier."""
    return ops_of(spec)[:-3]


def sources(spec: Spec) -> dict[str, tuple[str, ...]]:
    return {leaf.path: leaf.sources for leaf in leaves(spec.expand().root)}


def test_mapping_names_children_and_list_numbers_them(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path, "  stem: [{conv: {out: 8, kernel: 1}}, relu]\n  body: {a: relu, b: [relu, relu]}\n"
    )
    assert body(spec) == [
        ("stem.0", "conv"),
        ("stem.1", "relu"),
        ("body.a", "relu"),
        ("body.b.0", "relu"),
        ("body.b.1", "relu"),
    ]


def test_slots_stand_for_the_choices_and_none_takes_no_index(tmp_path: Path) -> None:
    layers = "  stem: [{conv: {out: 8, kernel: 1}}, norm, act, drop]\n  last: act\n"
    batch = "choices: {norm: batch_norm, act: {leaky_relu: {slope: 0.2}}, drop: {dropout: {p: 0.3}}}\n"
    assert [op for _, op in body(spec_of(tmp_path, layers, batch))][1:4] == [
        "batch_norm",
        "leaky_relu",
        "dropout",
    ]
    bare = spec_of(tmp_path, layers, "choices: {act: relu}\n")
    assert body(bare) == [("stem.0", "conv"), ("stem.1", "relu"), ("last", "relu")]


def test_name_of_none_means_its_input(tmp_path: Path) -> None:
    layers = "  conv1: {conv: {out: 3, kernel: 1}}\n  norm1: {norm: {}, as: normed}\n"
    layers += "  sum: {add: {}, from: [norm1, input]}\n  more: {add: {}, from: [normed, sum]}\n"
    found = sources(spec_of(tmp_path, layers))
    assert found["sum"] == ("conv1", INPUT)
    assert found["more"] == ("conv1", "sum")


def test_use_under_a_key_is_the_body_itself(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "  a: {use: pair, with: {out: 8}}\n  b: {use: named}\n", BLOCKS)
    assert [path for path, _ in body(spec)] == ["a.0", "a.1", "b.conv", "b.act"]


def test_repeat_gives_a_list_and_first_overrides_the_first_copy(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "  a: {use: pair, repeat: 2, with: {out: 8}, first: {stride: 2}}\n", BLOCKS)
    assert [path for path, _ in body(spec)] == ["a.0", "a.1", "a.2", "a.3"]
    strides = [leaf.args["stride"] for leaf in leaves(spec.expand().root) if leaf.op == "conv"]
    assert strides == [2, 1]
    named = spec_of(tmp_path, "  a: {use: named, repeat: 2}\n", BLOCKS)
    assert [path for path, _ in body(named)] == ["a.0.conv", "a.0.act", "a.1.conv", "a.1.act"]


def test_names_number_copies_from_one(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "  a: {use: named, repeat: 2, names: 'layer{n}'}\n", BLOCKS)
    assert [path for path, _ in body(spec)] == [
        "a.layer1.conv",
        "a.layer1.act",
        "a.layer2.conv",
        "a.layer2.act",
    ]


def test_use_in_a_list_is_written_in_place(tmp_path: Path) -> None:
    layers = "  a:\n    - {use: pair, repeat: 2, with: {out: 8}}\n"
    layers += "    - {max_pool: {kernel: 2}}\n    - {use: named}\n"
    assert [path for path, _ in body(spec_of(tmp_path, layers, BLOCKS))] == [
        *("a.0", "a.1", "a.2", "a.3", "a.4"),
        *("a.5.conv", "a.5.act"),
    ]


def test_blocks_nest_and_hand_parameters_on(tmp_path: Path) -> None:
    more = BLOCKS.replace(
        "  named:", "  stage:\n    params: {n: int, out: int}\n    layers:\n"
        "      - {use: pair, repeat: $n, with: {out: $out}}\n  named:"
    )  # fmt: skip
    spec = spec_of(tmp_path, "  a: {use: stage, with: {n: 3, out: 8}}\n", more)
    assert [op for _, op in body(spec)] == ["conv", "relu"] * 3


def test_input_is_that_of_the_mapping_around(tmp_path: Path) -> None:
    layers = "  a: {conv: {out: 3, kernel: 1}}\n"
    layers += "  b:\n    c: relu\n    d: [relu, {add: {}, from: [input, input]}]\n"
    found = sources(spec_of(tmp_path, layers))
    assert found["a"] == (INPUT,)
    assert found["b.c"] == ("b" + INPUT,)
    assert found["b.d.1"] == ("b" + INPUT, "b" + INPUT)


def test_tap_can_be_taken_anywhere_later(tmp_path: Path) -> None:
    layers = (
        "  a: [{conv: {out: 3, kernel: 1}, as: low}, relu]\n  b: {c: {d: {add: {}, from: [input, low]}}}\n"
    )
    assert sources(spec_of(tmp_path, layers))["b.c.d"] == ("b.c" + INPUT, "a.0")


def test_tap_of_a_use_in_a_list_is_its_end_and_from_its_start(tmp_path: Path) -> None:
    layers = "  stem: {conv: {out: 8, kernel: 1}}\n  a:\n    - {max_pool: {kernel: 1}, as: low}\n"
    layers += "    - {use: pair, repeat: 2, with: {out: 8}, from: low, as: high}\n"
    spec = spec_of(tmp_path, layers + "  sum: {add: {}, from: [low, high]}\n", BLOCKS)
    found = sources(spec)
    assert found["a.1"] == ("a.0",)
    assert found["sum"] == ("a.0", "a.4")


def test_one_child_named_as_its_op_is_a_child(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path, "  a: {conv: {conv: {out: 8, kernel: 1}}}\n  b: {norm: norm, relu: act}\n", BLOCKS
    )
    assert body(spec) == [("a.conv", "conv"), ("b.relu", "relu")]


def test_text_argument_named_as_an_op_stays_an_argument(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "  a: {gelu: {approximate: tanh}}\n")
    assert next(leaf.args for leaf in leaves(spec.expand().root)) == {"approximate": "tanh"}


def test_classes_are_a_parameter(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "", tail="  flatten: flatten\n  fc: {linear: {out: $classes}}\n")
    assert [leaf.args["out"] for leaf in leaves(spec.expand(9).root) if leaf.op == "linear"] == [9]


def test_head_and_stages_may_be_taps(tmp_path: Path) -> None:
    layers = "  a: [norm, {conv: {out: 8, kernel: 1}, as: low}]\n"
    tail = "  flatten: flatten\n  fc: [norm, {linear: {out: $classes}, as: top}]\n"
    more = "head: top\nstages: [low, flatten]\n"
    assert spec_of(tmp_path, layers, more, tail=tail).stages == ("a.0", "flatten")
    normed = spec_of(tmp_path, layers, more, {"choices.norm": "batch_norm"}, tail.replace("[norm, ", "["))
    assert (normed.head, normed.stages) == ("fc.0", ("a.1", "flatten"))
