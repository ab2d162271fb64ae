"""The JSON Schema of the spec language, for editors, from the same signatures that specs are checked with.

A spec that extends another may lack keys, and may remove keys by null: its schema is derived from that of a
whole spec, and so are those of the parts, `NAME?` of `NAME`.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from zoo.registry import DROPS, INITS, Entry, Registry
from zoo.spec.choices import KINDS, RULE_KEYS
from zoo.spec.header import Header
from zoo.spec.items import NONE, PARAMETRISATIONS, RESERVED, SLOTS, WIRES, ops
from zoo.spec.sections import section_names, section_type
from zoo.spec.uses import MAX_REPEAT

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NULL: Schema = {"type": "null"}
TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
PARAMETER: Schema = {"type": "string", "pattern": r"^\$", "description": "a parameter's value"}
SOURCES: Schema = {
    "anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}],
    "description": "the inputs of the layer: a name above it, a list of names, or input",
}
WIRE_KEYS: Schema = {"from": SOURCES, "as": NAME | {"description": "a name of the output for later layers"}}
PARAMS: Schema = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean", "array", "null"]},
}
USE: Schema = {
    "use": TEXT,
    "repeat": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_REPEAT}, PARAMETER]},
    "with": PARAMS,
    "first": PARAMS,
    "names": {"type": "string", "pattern": r"^[^{}]*\{n\}[^{}]*$"},
}
CHILD_NAME = "^(?!(" + "|".join(sorted({*RESERVED, "input"} - set(WIRES))) + ")$)[A-Za-z][A-Za-z0-9_]*$"


def spec_schema() -> Schema:
    """Return the schema of a spec."""
    entries = [*ops().values(), *(INITS[name] for name in INITS.names())]
    defs = {f"{entry.kind}.{entry.name}": _arguments(entry) for entry in entries}
    defs |= {"item": _item(), "rule": _rule()}
    header = _hoisted(TypeAdapter(Header), "header", defs)
    sections = {name: _hoisted(section_type(name), name, defs) for name in section_names()}
    whole = _object(header["properties"] | _network() | sections, "classes")
    whole["oneOf"] = [{"required": ["layers"]}, {"required": ["model"]}]
    overriding = _loosened(_object(whole["properties"]))
    overriding["properties"]["extends"] = TEXT
    defs |= {f"{name}?": _loosened(part) for name, part in defs.items()}
    return {
        "$schema": DIALECT,
        "title": "Graft spec",
        "if": {"required": ["extends"]},
        "then": _ref("overriding"),
        "else": _ref("whole"),
        "$defs": defs | {"whole": whole, "overriding": overriding},
    }


def schema_text() -> str:
    """Return the text of the schema's file."""
    schema = spec_schema()
    defs = (f"{json.dumps(name)}: {json.dumps(part)}" for name, part in schema.pop("$defs").items())
    head = json.dumps(schema, indent=1).removesuffix("\n}")
    return head + ',\n "$defs": {\n' + ",\n".join(defs) + "\n }\n}\n"


def _network() -> Schema:
    block = _object({"params": PARAMS, "layers": _ref("item")}, "layers")
    no_wires = {"not": {"anyOf": [{"required": [wire]} for wire in WIRES]}}
    listed = {"type": "array", "items": _ref("item"), "minItems": 1}
    slots = {slot: _choice(registry) for slot, registry in SLOTS.items()}
    return {
        "choices": _object({**slots, "input_drop": _choice(DROPS), "init": _rules()}),
        "blocks": {"type": "object", "additionalProperties": block},
        "layers": {"anyOf": [_children() | no_wires, _include(), listed]},
    }


def _item() -> Schema:
    layers = {name: entry for name, entry in ops().items() if name not in PARAMETRISATIONS}
    bare = [*SLOTS, NONE, *(name for name, entry in layers.items() if not entry.required)]
    calls = {
        name: _ref(f"{entry.kind}.{name}") | {"description": entry.doc} for name, entry in layers.items()
    }
    calls |= {name: {"type": "object", "maxProperties": 0} for name in (*SLOTS, NONE)}
    return {
        "anyOf": [
            {"enum": bare},
            PARAMETER,
            {"type": "array", "items": _ref("item")},
            *(_object({name: arguments, **WIRE_KEYS}, name) for name, arguments in calls.items()),
            _object({**USE, **WIRE_KEYS}, "use"),
            _include(),
            _children(),
        ]
    }


def _include() -> Schema:
    """What is included, and beside it what is laid over its children."""
    include = _object({"include": NAME, **USE, **WIRE_KEYS}, "include")
    return include | {"additionalProperties": _nullable(_ref("item"))}


def _children() -> Schema:
    """Named children, at least one, and wires."""
    return {
        "not": {"propertyNames": {"enum": [*WIRES]}},
        "type": "object",
        "properties": WIRE_KEYS,
        "propertyNames": {"pattern": CHILD_NAME},
        "additionalProperties": _ref("item"),
        "minProperties": 1,
    }


def _choice(registry: Registry) -> Schema:
    return {"anyOf": [{"const": NONE}, *_calls(registry)]}


def _calls(registry: Registry) -> list[Schema]:
    entries = [registry[name] for name in registry.names()]
    bare = {"enum": [entry.name for entry in entries if not entry.required]}
    calls = (_object({entry.name: _ref(f"{entry.kind}.{entry.name}")}, entry.name) for entry in entries)
    return [bare, *calls]


def _rules() -> Schema:
    calls = _calls(INITS)
    return {"anyOf": [*calls, {"type": "array", "items": {"anyOf": [_ref("rule"), *calls]}}]}


def _rule() -> Schema:
    call = {"anyOf": _calls(INITS)}
    rule = _object(dict(zip(RULE_KEYS, ({"enum": [*ops(), *KINDS]}, NAME, call, call), strict=True)))
    return {**rule, "anyOf": [{"required": ["weight"]}, {"required": ["bias"]}]}


def _arguments(entry: Entry) -> Schema:
    """The arguments of a call, any of which may be a block's parameter."""
    schema = TypeAdapter(entry.model).json_schema()
    schema["properties"] = {
        name: _with_parameters(value) for name, value in schema.get("properties", {}).items()
    }
    schema.pop("title", None)
    return schema


def _with_parameters(schema: Schema) -> Schema:
    """Allow `$name` for a value, and for any part of a list."""
    kept = {key: schema[key] for key in ("default", "description") if key in schema}
    inner = {key: value for key, value in schema.items() if key not in (*kept, "title")}
    if "anyOf" in inner:
        return kept | {"anyOf": [*map(_with_parameters, inner["anyOf"]), PARAMETER]}
    if "prefixItems" in inner:
        inner["prefixItems"] = [_with_parameters(item) for item in inner["prefixItems"]]
    return kept | {"anyOf": [inner, PARAMETER]}


def _hoisted(adapter: TypeAdapter[Any], prefix: str, defs: Schema) -> Schema:
    """Return a schema; move its definitions to `defs`, under names that begin with `prefix`."""
    schema = adapter.json_schema(ref_template=f"#/$defs/{prefix}.{{model}}")
    for name, definition in schema.pop("$defs", {}).items():
        defs[f"{prefix}.{name}"] = definition
    return schema


def _loosened(schema: Schema) -> Schema:
    """Return the schema with every key of a mapping optional or null; a list is replaced as a whole."""
    loose = {key: part for key, part in schema.items() if key not in ("required", "not")}
    if "$ref" in schema:
        loose["$ref"] = schema["$ref"].removesuffix("?") + "?"
    branches = [_loosened(part) for key in ("anyOf", "oneOf") for part in loose.pop(key, ())]
    if branches:
        loose["anyOf"] = branches
    for key in ("properties", "patternProperties"):
        if key in schema:
            loose[key] = {name: _nullable(value) for name, value in schema[key].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        loose["additionalProperties"] = _nullable(schema["additionalProperties"])
    return loose


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [_loosened(schema), NULL]}


def _object(properties: Schema, *required: str) -> Schema:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": [*required]} if required else {})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
