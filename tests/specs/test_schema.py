"""The JSON Schema and the reader accept and refuse the same files, as far as a schema can tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import zoo
from zoo.errors import GraftError, SpecError
from zoo.spec.items import PARAMETRISATIONS, ops
from zoo.spec.nodes import plain
from zoo.spec.schema import schema_text, spec_schema
from zoo.spec.yaml import read_file, read_text

SPECS = Path(__file__).resolve().parents[2] / "specs"
BAD = sorted(Path(__file__).parent.glob("bad/*.yaml"))

# What a schema cannot say: what is not YAML of our kind, what needs other files, names that refer to each
# other, and shapes. JSON Schema moreover counts 3.0 as an integer.
BEYOND_A_SCHEMA = ("yaml_", "shape_", "wire_", "tap_twice", "extends_", "include_", "weights_unknown")
BEYOND_A_SCHEMA += ("block_missing_parameter", "block_unknown", "block_wrong_type", "block_uses_itself")
BEYOND_A_SCHEMA += ("block_names_in_a_list", "block_repeated_without_end", "name_outside_a_block")
BEYOND_A_SCHEMA += ("header_head", "header_stage", "header_mean_of_two", "header_multiple_of")
BEYOND_A_SCHEMA += ("init_path", "init_unfit", "init_bilinear_unfit", "layer_name_of_a_module")
BEYOND_A_SCHEMA += ("layer_float_for_integer", "layer_long_path", "header_model_null")


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(schema_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def item_validator(validator: Draft202012Validator) -> Draft202012Validator:
    return validator.evolve(schema={"$ref": "#/$defs/item", "$defs": validator.schema["$defs"]})


def document(path: Path) -> Any:  # noqa: ANN401
    return plain(read_file(path, path.name))


def test_file_is_up_to_date() -> None:
    """`python -m zoo schema` writes it."""
    assert (SPECS / "spec.schema.json").read_text(encoding="utf-8") == schema_text()
    assert json.loads(schema_text()) == spec_schema()


@pytest.mark.parametrize(
    "path", [path for path in BAD if not path.stem.startswith(BEYOND_A_SCHEMA)], ids=lambda path: path.stem
)
def test_schema_refuses_what_the_reader_refuses(path: Path, validator: Draft202012Validator) -> None:
    with pytest.raises(GraftError):
        zoo.read_spec(path)
    assert not validator.is_valid(document(path))


def test_half_of_the_bad_specs_are_within_a_schema() -> None:
    within = [path for path in BAD if not path.stem.startswith(BEYOND_A_SCHEMA)]
    assert len(within) >= 45


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_schema_accepts_resolved_specs(path: Path, validator: Draft202012Validator) -> None:
    resolved = plain(read_text(zoo.read_spec(path).to_yaml(), "resolved"))
    assert [error.message for error in validator.iter_errors(resolved)] == []


def arguments(name: str) -> dict[str, object]:
    """Return the fewest arguments that a layer takes."""
    known: dict[str, object] = {"out": 8, "kernel": 3, "size": 2, "multiple": 4}
    return {key: known[key] for key in ops()[name].required}


def variants(name: str) -> Iterator[tuple[object, bool]]:
    """Return items that call a layer, with whether they are right."""
    right = arguments(name)
    yield {name: right}, True
    yield {name: right, "as": "here"}, True
    yield {name: right, "as": 3}, False
    yield {name: right, "beside": 3}, False
    yield {name: {**right, "qq": 1}}, False
    yield {name: None}, False
    yield {name: [right]}, False
    yield {name: 3}, False
    yield name, not right
    for parameter in ops()[name].parameters:
        yield {name: {**right, parameter.name: {"a": 1}}}, False
        yield {name: {**right, parameter.name: "qq"}}, False
        yield (
            {name: {key: value for key, value in right.items() if key != parameter.name}},
            (parameter.name not in right),
        )


@pytest.mark.parametrize("name", [name for name in ops() if name not in PARAMETRISATIONS])
def test_schema_and_reader_agree_on_every_layer(
    name: str, item_validator: Draft202012Validator, tmp_path: Path
) -> None:
    wires = {"from": ["stem", "input"]} if ops()[name].arity[0] > 1 else {}
    for number, (item, right) in enumerate(variants(name)):
        wired = {**item, **wires} if isinstance(item, dict) else item
        if wires and wired is item:
            continue  # a bare name of a join has nothing to join
        spec = {"classes": 2, "layers": {"stem": "relu", "one": wired}}
        path = tmp_path / f"net{number}.yaml"
        path.write_text(json.dumps(spec), encoding="utf-8")  # JSON is YAML
        assert accepts(path) == right, spec
        assert item_validator.is_valid(wired) == right, spec


def accepts(path: Path) -> bool:
    try:
        zoo.read_spec(path)
    except SpecError:
        return False
    return True
