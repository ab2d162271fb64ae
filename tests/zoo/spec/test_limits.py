"""Small specs that would take all time or memory end in one message with a place, and soon."""

from __future__ import annotations

from pathlib import Path

import pytest
from nets import HEAD, TAIL, spec_of, write

from zoo import limits
from zoo.api import build, check_network, read_spec
from zoo.builder.network import build_network
from zoo.errors import GraftError, SpecError
from zoo.spec.shapes import matches_path

pytestmark = pytest.mark.usefixtures("within_3_cpu_seconds")


def message_of(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        check_network(read_spec(path))
    return str(caught.value)


def test_parameters_in_parameters_multiply(tmp_path: Path) -> None:
    uses = "".join(
        f"  b{i}: {{params: {{x: ''}}, layers: {{a: {{use: b{i + 1}, with: {{x: [$x, $x]}}}}}}}}\n"
        for i in range(30)
    )
    last = "  b30: {params: {x: ''}, layers: {a: {conv: {out: $x, kernel: 1}}}}\n"
    path = write(tmp_path, f"{HEAD}blocks:\n{uses}{last}layers:\n  a: {{use: b0, with: {{x: [1, 1]}}}}\n")
    assert "net.yaml:17:55: blocks.b13.a.with: 6.55e+04 values" in message_of(path)


def test_parameters_in_parameters_nest(tmp_path: Path) -> None:
    inner = "[" * 60 + "$x" + "]" * 60
    blocks = f"  a: {{params: {{x: ''}}, layers: {{a: {{use: b, with: {{x: {inner}}}}}}}}}\n"
    blocks += f"  b: {{params: {{x: ''}}, layers: {{a: {{conv: {{out: {inner}, kernel: 1}}}}}}}}\n"
    path = write(tmp_path, f"{HEAD}blocks:\n{blocks}layers:\n  a: {{use: a, with: {{x: 1}}}}\n")
    assert "nested 121 levels deep" in message_of(path)


def test_arguments_of_many_layers_multiply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ARGUMENTS", 1000)
    block = "blocks:\n  b: {params: {x: ''}, layers: [{pad: {size: $x}}]}\n"
    layers = "  a: {use: b, repeat: 500, with: {x: [0, 0, 0, 0]}}\n"
    path = write(tmp_path, f"{HEAD}{block}layers:\n{layers}{TAIL}")
    assert "net.yaml:4:34: blocks.b.pad: more than 1,000 arguments" in message_of(path)


def test_includes_double(tmp_path: Path) -> None:
    for i in range(18):
        write(tmp_path, f"{HEAD}layers:\n  a: {{include: i{i + 1}}}\n  b: {{include: i{i + 1}}}\n", f"i{i}")
    write(tmp_path, f"{HEAD}layers:\n  a: relu\n", "i18")
    message = message_of(tmp_path / "i0.yaml")
    assert ":1:1: a spec and what it extends and includes: more than 100 files" in message


def test_specs_that_each_name_the_next(tmp_path: Path) -> None:
    for i in range(25):
        write(tmp_path, f"extends: e{i + 1}\n", f"e{i}")
    message = message_of(tmp_path / "e0.yaml")
    assert "e19.yaml:1:10: extends: more than 20 specs that each name the next" in message


def test_included_files_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, f"{HEAD}layers: {{a: relu}}\n", "part")
    two = write(tmp_path, f"{HEAD}layers:\n  a: {{include: part}}\n  b: {{include: part}}\n{TAIL}")
    assert check_network(read_spec(two)) is None
    size = two.stat().st_size + (tmp_path / "part.yaml").stat().st_size
    monkeypatch.setattr(limits, "MAX_BYTES", size)
    assert "part.yaml:1:1: a spec and what it extends and includes: more than" in message_of(two)


@pytest.mark.parametrize("size", [2**20 + 1, 2**31])
def test_a_large_file(tmp_path: Path, size: int) -> None:
    path = write(tmp_path, HEAD)
    with path.open("r+b") as file:
        file.truncate(size)
    assert "net.yaml:1:1: too large a file" in message_of(path)


def test_many_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_VALUES", 1000)
    path = write(tmp_path, "layers:\n" + "- relu\n" * 1000)
    assert "net.yaml:999:3: more than 1,000 values" in message_of(path)


@pytest.mark.parametrize("opening", ["[", "{a: ", "? ", "- "])
def test_a_deep_file(tmp_path: Path, opening: str) -> None:
    message = message_of(write(tmp_path, "layers:\n " + opening * 50_000))
    assert "nested more than 100 levels deep" in message or "not YAML" in message


def test_ops_within_ops_do_not_double_the_time(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEAD}layers:\n  a: {'{relu: ' * 90}x{'}' * 90}\n")
    assert "net.yaml:4:350: layers.a.relu" in message_of(path)


def test_blocks_within_blocks(tmp_path: Path) -> None:
    blocks = "".join(f"  b{i}: {{layers: {{x: {{use: b{i + 1}}}}}}}\n" for i in range(230))
    path = write(tmp_path, f"{HEAD}blocks:\n{blocks}  b230: {{layers: [relu]}}\nlayers:\n  a: {{use: b0}}\n")
    assert "levels deep" in message_of(path)
    listed = blocks.replace("{x: {use", "[{use").replace("}}}\n", "}]}\n")
    path = write(tmp_path, f"{HEAD}blocks:\n{listed}  b230: {{layers: [relu]}}\nlayers: [{{use: b0}}]\n")
    assert "levels deep" in message_of(path)


def test_the_deepest_network_is_built(tmp_path: Path) -> None:
    deep = "a: {" * 90 + "a: relu" + "}" * 90
    built = build_network(spec_of(tmp_path, f"  {deep}\n"))
    assert built.layers[0].path.count(".") == 90


def test_many_mistakes_in_one_line(tmp_path: Path) -> None:
    layers = ", ".join(f"bogus{i}" for i in range(2000))
    message = message_of(write(tmp_path, f"{HEAD}layers: [{layers}]\n"))
    assert message.count("unknown layer") == 100
    assert message.endswith("\nonly the first 100 mistakes are shown")
    assert max(map(len, message.splitlines())) < 1000


def test_many_wrong_values_of_one_layer(tmp_path: Path) -> None:
    values = ", ".join("x" for _ in range(3000))
    message = message_of(write(tmp_path, f"{HEAD}layers:\n  a: {{pad: {{size: [{values}]}}}}\n"))
    assert "layers.a.pad.size" in message and len(message) < 100_000


def test_many_wires_to_nowhere(tmp_path: Path) -> None:
    layers = "".join(f"  a{i}: {{relu: {{}}, from: no{i}}}\n" for i in range(1000))
    assert "only the first 100 mistakes" in message_of(write(tmp_path, f"{HEAD}layers:\n{layers}{TAIL}"))


def test_a_long_value_is_cut_in_the_message(tmp_path: Path) -> None:
    message = message_of(write(tmp_path, f"{HEAD}head: [{'x' * 100_000}]\nlayers: {'y' * 100_000}\n"))
    assert "net.yaml:4" in message and len(message) < 20_000


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "~nobody-of-this-name/x"])
def test_a_name_that_no_file_has(tmp_path: Path, name: str) -> None:
    with pytest.raises(GraftError, match="no such spec"):
        read_spec(name)
    entry = f'weights: {{w: {{file: "{name}"}}}}\n'.replace("\0", "")
    assert spec_of(tmp_path, "  a: relu\n", entry).weights["w"].file


def test_globs_of_many_wildcards_end() -> None:
    path = "a" * 250
    assert not matches_path("**a" * 80 + "b", path)
    assert not matches_path("*a" * 80 + "b", path)
    assert matches_path("**a" * 80, path)
    assert matches_path("layer*.**.conv?", "layer1.0.x.conv?")
    assert matches_path("a.*.b", "a..b") and matches_path("a.*.b", "a.xy.b")
    assert not matches_path("a.*.b", "a.x.y.b") and matches_path("a.**.b", "a.x.y.b")


def test_many_rules(tmp_path: Path) -> None:
    rules = "choices:\n  init:\n" + "    - {path: conv, bias: zeros}\n" * 1001
    assert "choices.init: 1,001 rules" in message_of(
        write(tmp_path, f"{HEAD}{rules}layers:\n  conv: relu\n{TAIL}")
    )


def test_a_network_larger_than_the_memory_is_not_built(tmp_path: Path) -> None:
    wide = spec_of(
        tmp_path, "  conv: {conv: {out: 300000, kernel: 1}}\n  wide: {conv: {out: 300000, kernel: 1}}\n"
    )
    check_network(wide)
    with pytest.raises(GraftError, match=r"the weights of net take 360 GB, and this machine has"):
        build(wide)


@pytest.mark.parametrize("first", ["data", "layers", "bogus"])
def test_a_deep_override(tmp_path: Path, first: str) -> None:
    with pytest.raises(SpecError, match="SET: a key of 3001 parts"):
        spec_of(tmp_path, "  a: relu\n", change={first + ".a" * 3000: 1})
