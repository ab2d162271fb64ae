"""A description as JSON, for programs: numbers as numbers, shapes as lists."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import to_jsonable_python

from zoo.describe.description import Description, LayerRow, parts
from zoo.describe.summary import SLOTS
from zoo.registry import Call


def as_json(description: Description) -> str:
    """Write everything that is known of a network."""
    return json.dumps(as_data(description), indent=2, ensure_ascii=False)


def as_data(description: Description) -> dict[str, Any]:
    """Give everything that is known of a network as plain values."""
    spec = description.spec
    return {
        "name": spec.name,
        "source": spec.source,
        "task": spec.task,
        "classes": spec.classes,
        "input": to_jsonable_python(spec.input),
        "model": to_jsonable_python(spec.model),
        "choices": {slot: _call(spec.choices.of(slot)) for slot in SLOTS} if spec.model is None else None,
        "stages": [_stage(description, path) for path in description.stages],
        "head": description.head,
        "layers": [_layer(row) for row in description.layers],
        "totals": {
            "layers": len(description.layers),
            "parameters": description.params,
            "macs": description.macs,
            "weights_bytes": description.state_bytes,
        },
        "weights": to_jsonable_python(spec.weights, exclude_none=True),
    }


def _stage(description: Description, path: str) -> dict[str, Any]:
    found = [part for part in parts(description.layers) if part.path == path]
    return {
        "path": path,
        "output": list(found[-1].rows[-1].output) if found else [],
        "parameters": sum(part.params for part in found),
        "macs": sum(part.macs for part in found),
    }


def _layer(row: LayerRow) -> dict[str, Any]:
    return {
        "path": row.path,
        "kind": row.kind,
        "family": row.family,
        "arguments": list(row.arguments),
        "output": list(row.output),
        "parameters": row.params,
        "macs": row.macs,
        "start": dict(row.init),
        "part": row.part,
        "id": row.id,
        "takes": list(row.sources),
    }


def _call(call: Call) -> Any:  # noqa: ANN401
    return {call.op: to_jsonable_python(call.args)} if call.args else call.op
