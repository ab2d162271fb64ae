"""The JSON Schema of the spec language, for editors, from the same signatures that specs are checked with.

A spec that extends another may lack keys, and may remove keys by null: it has a looser schema.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from zoo.registry import DROPS, INITS, Entry, Registry
from zoo.spec.choices import KINDS, RULE_KEYS
from zoo.spec.header import Header
from zoo.spec.items import NONE, PARAMETRISATIONS, RESERVED, SLOTS, USE_KEYS, WIRES, ops
from zoo.spec.sections import section_names, section_type
from zoo.spec.uses import MAX_REPEAT

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NULL: Schema = {"type": "null"}
TEXT: Schema = {"type": "string"}
PARAMETER: Schema = {"type": "string", "pattern": r"^\$", "description": "a parameter's value"}
SOURCES: Schema = {
    "anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}],
    "description": "the inputs of the layer: a name above it, a list of names, or input",
}
TAP: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "a name of the output for later layers",
}
CHILD_NAME = "^(?!(" + "|".join(sorted({*RESERVED, "input"} - set(WIRES))) + ")$)[A-Za-z][A-Za-z0-9_]*$"
UNIONS = ("anyOf", "oneOf")
VALUE: Schema = {"type": ["string", "number", "boolean", "array", "null"]}


def spec_schema() -> Schema:
    """Return the schema of a spec."""
    defs: Schema = {}
    for entry in [*ops().values(), *(INITS[name] for name in INITS.names())]:
        defs[f"{entry.kind}.{entry.name}"] = _arguments(entry)
        defs[f"{entry.kind}.{entry.name}?"] = _loosened(_arguments(entry))
    defs |= {"item": _item(loose=False), "item?": _item(loose=True), "rule": _rule()}
    header = _hoisted(TypeAdapter(Header), "header", defs)
    sections = {name: _hoisted(section_type(name), name, defs) for name in section_names()}
    prefixes = tuple(f"{name}." for name in ["header", *sections])
    own = header["properties"] | _network(loose=False) | sections
    defs["whole"] = {
        "type": "object",
        "properties": own,
        "required": ["classes"],
        "oneOf": [{"required": ["layers"]}, {"required": ["model"]}],
        "additionalProperties": False,
    }
    defs |= {f"{name}?": _loosened(part) for name, part in defs.items() if name.startswith(prefixes)}
    parts = header["properties"] | sections
    overriding = {name: _nullable(_loosened(part)) for name, part in parts.items()}
    overriding |= _network(loose=True) | {"extends": TEXT}
    defs["overriding"] = {"type": "object", "properties": overriding, "additionalProperties": False}
    return {
        "$schema": DIALECT,
        "title": "Graft spec",
        "if": {"required": ["extends"]},
        "then": _ref("overriding"),
        "else": _ref("whole"),
        "$defs": defs,
    }


def schema_text() -> str:
    """Return the text of the schema's file."""
    schema = spec_schema()
    defs = (f"{json.dumps(name)}: {json.dumps(part)}" for name, part in schema.pop("$defs").items())
    head = json.dumps(schema, indent=1).removesuffix("\n}")
    return head + ',\n "$defs": {\n' + ",\n".join(defs) + "\n }\n}\n"


def _network(*, loose: bool) -> Schema:
    item = "item?" if loose else "item"
    block = _object({"params": {"type": "object", "additionalProperties": VALUE}, "layers": _ref(item)})
    if not loose:
        block["required"] = ["layers"]
    no_wires = {"not": {"anyOf": [{"required": [wire]} for wire in WIRES]}}
    layers: list[Schema] = [{"allOf": [_children(loose=loose), no_wires]}, _include()]
    if not loose:
        layers.append({"type": "array", "items": _ref("item"), "minItems": 1})
    slots = {slot: _choice(registry, loose) for slot, registry in SLOTS.items()}
    choices = _object({**slots, "input_drop": _choice(DROPS, loose), "init": _rules()})
    named: dict[str, Schema] = {
        "choices": choices,
        "blocks": {"type": "object", "additionalProperties": _nullable(block) if loose else block},
        "layers": {"anyOf": layers},
    }
    return {key: _nullable(schema) for key, schema in named.items()} if loose else named


def _item(*, loose: bool) -> Schema:
    """An item of a network; if loose, what overrides one."""
    bare = [*SLOTS, NONE, *(name for name, entry in _layers() if not entry.required)]
    use = _object({**_use_keys(), **_wires()})
    if not loose:
        use["required"] = ["use"]
    calls = [_call(name, _ref(_name(entry, loose)), loose) for name, entry in _layers()]
    calls += [_call(slot, {"type": "object", "maxProperties": 0}, loose) for slot in [*SLOTS, NONE]]
    options: list[Schema] = [
        {"enum": bare},
        PARAMETER,
        {"type": "array", "items": _ref("item")},
        *calls,
        {**use, "minProperties": 1},
        _include(),
        _children(loose=loose),
    ]
    return {"anyOf": [*options, NULL] if loose else options}


def _layers() -> list[tuple[str, Entry]]:
    return [(name, entry) for name, entry in ops().items() if name not in PARAMETRISATIONS]


def _wires() -> Schema:
    return {"from": SOURCES, "as": TAP}


def _use_keys() -> Schema:
    repeat = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_REPEAT}, PARAMETER]}
    params = {"type": "object", "additionalProperties": VALUE}
    schemas = (TEXT, repeat, params, params, {"type": "string", "pattern": r"^[^{}]*\{n\}[^{}]*$"})
    return dict(zip(USE_KEYS, schemas, strict=True))


def _call(name: str, arguments: Schema, loose: bool) -> Schema:
    described = {**arguments, "description": ops()[name].doc} if name in ops() else arguments
    call = _object({name: _nullable(described) if loose else described, **_wires()})
    return {**call, "required": [name]}


def _include() -> Schema:
    keys = {"include": {"type": "string", "minLength": 1}, **_use_keys(), **_wires()}
    return {
        "type": "object",
        "properties": keys,
        "required": ["include"],
        "additionalProperties": _ref("item?"),
    }


def _children(*, loose: bool) -> Schema:
    """Named children; what overrides them may consist of wires only."""
    named = {} if loose else {"not": {"propertyNames": {"enum": [*WIRES]}}}
    return named | {
        "type": "object",
        "properties": _wires(),
        "propertyNames": {"pattern": CHILD_NAME},
        "additionalProperties": _ref("item?" if loose else "item"),
        "minProperties": 1,
    }


def _choice(registry: Registry, loose: bool) -> Schema:
    call = _registry_call(registry, loose)
    return {"anyOf": [{"const": NONE}, *call["anyOf"]]}


def _registry_call(registry: Registry, loose: bool = False) -> Schema:
    entries = [registry[name] for name in registry.names()]
    bare = {"enum": [entry.name for entry in entries if not entry.required]}
    calls = [
        {**_object({entry.name: _ref(_name(entry, loose))}), "required": [entry.name]} for entry in entries
    ]
    return {"anyOf": [bare, *calls, NULL] if loose else [bare, *calls]}


def _rules() -> Schema:
    calls = _registry_call(INITS)
    listed = {"type": "array", "items": {"anyOf": [_ref("rule"), *calls["anyOf"]]}}
    return {"anyOf": [*calls["anyOf"], listed]}


def _rule() -> Schema:
    kinds = {"enum": [*ops(), *KINDS]}
    call = _registry_call(INITS)
    path = {"type": "string", "minLength": 1}
    rule = _object(dict(zip(RULE_KEYS, (kinds, path, call, call), strict=True)))
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
    loose = dict(schema)
    if "$ref" in schema:
        loose["$ref"] = schema["$ref"] + "?"
    branches = [_loosened(part) for key in UNIONS for part in loose.pop(key, ())]
    if branches:
        loose["anyOf"] = branches
    properties = schema.get("properties", {})
    if len(properties) != 1:  # a call keeps its one key, which tells it from others
        loose.pop("required", None)
    for key in ("properties", "patternProperties"):
        if key in schema:
            loose[key] = {name: _nullable(_loosened(value)) for name, value in schema[key].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        loose["additionalProperties"] = _nullable(_loosened(schema["additionalProperties"]))
    return loose


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, NULL]}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _name(entry: Entry, loose: bool) -> str:
    return f"{entry.kind}.{entry.name}{'?' if loose else ''}"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
