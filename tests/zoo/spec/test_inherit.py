"""`extends`, `include` and overrides: one mapping over another."""

from __future__ import annotations

from pathlib import Path

import pytest
from nets import HEAD, TAIL, ops_of, write

import zoo
from zoo.api import override
from zoo.errors import GraftError, SpecError
from zoo.spec.nodes import MapNode, plain

BASE = f"""\
name: base
{HEAD}
choices: {{norm: {{group_norm: {{groups: 2}}}}, act: relu}}
weights: {{mine: {{file: base.safetensors}}}}
blocks:
  pair: {{params: {{out: int}}, layers: [{{conv: {{out: $out, kernel: 1}}}}, norm, act]}}
layers:
  stem: {{conv: {{out: 4, kernel: 3, padding: 1}}, as: low}}
  body: {{use: pair, with: {{out: 8}}}}
{TAIL}"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(tmp_path, BASE, "base")


def layer(path: Path, name: str) -> object:
    layers = zoo.read_spec(path).document.items["layers"]
    assert isinstance(layers, MapNode)
    return plain(layers.items[name])


def test_extends_overrides_key_by_key(base: Path) -> None:
    path = write(base.parent, "extends: base\nclasses: 7\nlayers: {stem: {conv: {out: 6}}}\n", "wide")
    assert layer(path, "stem") == {"conv": {"out": 6, "kernel": 3, "padding": 1}, "as": "low"}
    assert zoo.read_spec(path).classes == 7
    assert zoo.read_spec(path).name == "wide"


def test_call_of_another_op_replaces_the_old_whole(base: Path) -> None:
    text = (
        "extends: base\nchoices: {norm: {batch_norm: {eps: 1e-3}}}\nlayers: {stem: {max_pool: {kernel: 2}}}\n"
    )
    path = write(base.parent, text, "other")
    assert layer(path, "stem") == {"max_pool": {"kernel": 2}}
    spec = zoo.read_spec(path)
    assert spec.choices.norm.op == "batch_norm"
    assert spec.choices.norm.args["eps"] == 1e-3


def test_null_removes_and_new_keys_come_last(base: Path) -> None:
    text = "extends: base\nweights: {mine: null}\nlayers: {body: null, softmax: sigmoid}\n"
    spec = zoo.read_spec(write(base.parent, text, "less"))
    assert dict(spec.weights) == {}
    assert [path for path, _ in ops_of(spec)] == ["stem", "pool", "flatten", "fc", "softmax"]


def test_wires_can_be_changed_alone(base: Path) -> None:
    path = write(base.parent, "extends: base\nlayers: {body: {from: low}}\n", "wired")
    assert layer(path, "body") == {"use": "pair", "with": {"out": 8}, "from": "low"}


def test_extends_reaches_over_generations(base: Path) -> None:
    write(base.parent, "extends: base\nclasses: 5\n", "child")
    grandchild = write(base.parent, "extends: child.yaml\nhead: fc\n", "grandchild")
    assert (zoo.read_spec(grandchild).classes, zoo.read_spec(grandchild).head) == (5, "fc")


def test_mistake_in_what_is_extended_is_told_there(base: Path) -> None:
    write(base.parent, BASE.replace("kernel: 3", "kernal: 3"), "base")
    path = write(base.parent, "extends: base\n", "child")
    with pytest.raises(SpecError, match=r"base\.yaml:10:25: layers.stem.conv: unknown key 'kernal'"):
        zoo.read_spec(path)


def test_include_brings_a_part_and_its_blocks_under_our_choices(base: Path) -> None:
    text = f"{HEAD}choices: {{norm: batch_norm, act: elu}}\nlayers:\n  trunk: {{include: base.body}}\n{TAIL}"
    spec = zoo.read_spec(write(base.parent, text, "with_part"))
    assert ops_of(spec)[:3] == [("trunk.0", "conv"), ("trunk.1", "batch_norm"), ("trunk.2", "elu")]
    assert list(spec.blocks) == ["base.pair"]


def test_include_is_overridden_key_by_key(base: Path) -> None:
    text = f"""\
{HEAD}
layers:
  trunk:
    include: base
    body: {{with: {{out: 16}}, as: high}}
    flatten: null
    fc: null
  join: {{concat: {{}}, from: [trunk, trunk]}}
  more: {{multiply: {{}}, from: [high, low]}}
{TAIL}"""
    with pytest.raises(SpecError, match="broadcast to one shape, found 16x16x16 and 4x16x16"):
        zoo.build(write(base.parent, text, "changed"))
    fitting = text.replace("{out: 16}", "{out: 4}")
    net = zoo.build(write(base.parent, fitting, "changed"))
    assert [name for name, _ in net.named_parameters()][:4] == [
        *("trunk.stem.weight", "trunk.stem.bias"),
        *("trunk.body.0.weight", "trunk.body.0.bias"),
    ]


def test_include_of_what_includes_and_extends(base: Path) -> None:
    write(base.parent, f"{HEAD}layers:\n  inner: {{include: base.body}}\n{TAIL}", "middle")
    write(base.parent, "extends: middle\n", "outer")
    text = f"{HEAD}layers:\n  a: {{include: outer.inner}}\n  b: {{include: base.body}}\n{TAIL}"
    spec = zoo.read_spec(write(base.parent, text, "top"))
    assert [path for path, _ in ops_of(spec)][:2] == ["a.0", "b.0"]
    assert set(spec.blocks) == {"outer.base.pair", "base.pair"}


def test_include_inside_a_block(base: Path) -> None:
    more = "blocks:\n  twice: {layers: {one: {include: base.body}}}\n"
    text = f"{HEAD}{more}layers:\n  a: {{use: twice, repeat: 2}}\n{TAIL}"
    spec = zoo.read_spec(write(base.parent, text, "top"))
    assert [path for path, _ in ops_of(spec)][:2] == ["a.0.one.0", "a.1.one.0"]


def test_spec_is_found_by_path_or_by_the_zoo_s_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert zoo.read_spec("lenet5").classes == 10
    with pytest.raises(GraftError, match=r"^resnet81: no such spec; did you mean '.*resnet18.yaml'"):
        zoo.read_spec("resnet81")


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("classes", "7", 7),
        ("classes", 7, 7),
        ("source", '"012"', "012"),
        ("source", Path("a/b"), "a/b"),
        ("input.mean", "[0.5, 0.5, 1e-1]", [0.5, 0.5, 0.1]),
        ("input.mean", (0.5, 0.5, 0.1), [0.5, 0.5, 0.1]),
        ("input", {"height": 32}, {"channels": 3, "height": 32, "width": 16}),
    ],
)
def test_set_takes_texts_and_values(base: Path, key: str, value: object, found: object) -> None:
    node = zoo.read_spec(base, {key: value}).document
    for part in key.split("."):
        below = node.items[part]
        if isinstance(below, MapNode):
            node = below
    assert plain(below) == found


def test_set_swaps_a_choice_whole(base: Path) -> None:
    assert zoo.read_spec(base, {"choices.norm": "batch_norm"}).choices.norm.op == "batch_norm"
    group = zoo.read_spec(base, {"choices.norm": "{group_norm: {groups: 4}}"}).choices.norm
    assert group.args["groups"] == 4


def test_set_in_turn(base: Path) -> None:
    spec = zoo.read_spec(base, {"input.height": 32, "input": {"width": 64}})
    assert (spec.input.height, spec.input.width) == (32, 64)
    assert override(spec, {"classes": 9, "input.height": "8"}).input.height == 8
    assert spec.classes == 4


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("clases", "3", "SET: unknown key 'clases'\n    clases=3\n    ^^^^^^\n"),
        ("classes", "many", "SET: classes: found the text 'many'\n    classes=many\n            ^^^^\n"),
        ("choices.norm", "bach_norm", "SET: choices.norm: unknown norm 'bach_norm'"),
        ("layers.stem.conv.kernal", 3, "SET: layers.stem.conv: unknown key 'kernal'"),
        ("classes", "no", "SET: 'no': some YAML readers read it as false"),
        ("classes", "[1", "SET: not YAML"),
        ("classes", object(), "SET: a spec cannot hold a value of type object"),
        ("classes.", 3, "SET: 'classes.' is not a dotted key"),
    ],
)
def test_mistake_in_set_is_shown_as_typed(base: Path, key: str, value: object, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        zoo.read_spec(base, {key: value})
    assert message in str(caught.value)
