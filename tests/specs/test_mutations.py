"""Whatever is done to a valid spec, there is a message: never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.api import read_spec
from zoo.builder.network import build_network
from zoo.errors import GraftError
from zoo.registry import INITS
from zoo.spec.items import ops
from zoo.spec.nodes import plain
from zoo.spec.yaml import read_file

SPECS = Path(__file__).resolve().parents[2] / "specs"
SMALL = (
    "lenet5",
    "resnet18",
    "resnet20",
    "vgg11",
    "alexnet",
    "fcn8s",
    "examples/unet",
    "examples/mobilenet_small",
)
DOCUMENTS = {name: plain(read_file(SPECS / f"{name}.yaml", name)) for name in SMALL}

WORDS = [*ops(), *INITS.names(), "norm", "act", "drop", "none", "use", "from", "as", "include", "input"]
WORDS += [
    "repeat",
    "with",
    "first",
    "names",
    "$out",
    "$classes",
    "$",
    "",
    "basic",
    "lenet5.fc1",
    "vgg16.features",
    "pool4",
]
WORDS += ["layers", "blocks", "params", "extends", "conv1", "a.b", "layer{n}", "\u00e9", "\n"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.sampled_from([0, -1, 10**6, 10**18, 10**30, 2**63]),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from(WORDS),
    st.text(max_size=4),
    st.lists(st.integers(0, 9), max_size=4),
    st.dictionaries(
        st.sampled_from(WORDS), st.one_of(st.none(), st.integers(0, 9), st.sampled_from(WORDS)), max_size=3
    ),
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:  # noqa: ANN401
    """Return the path of every value in a document."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in below for place in places(item, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> Any:  # noqa: ANN401
    """Return a spec with a few values changed, removed, renamed, doubled or swapped for others of it."""
    document = json.loads(json.dumps(DOCUMENTS[draw(st.sampled_from(SMALL))]))
    for _ in range(draw(st.integers(1, 3))):
        everywhere = [place for place in places(document) if place]
        if not everywhere:
            break
        *above, last = draw(st.sampled_from(everywhere))
        parent = document
        for step in above:
            parent = parent[step]
        match draw(st.sampled_from(["change", "remove", "rename", "add", "move", "wrap"])):
            case "change":
                parent[last] = draw(VALUES)
            case "remove":
                del parent[last]
            case "rename" if isinstance(parent, dict):
                parent[draw(st.sampled_from(WORDS))] = parent.pop(last)
            case "add" if isinstance(parent, dict):
                parent[draw(st.sampled_from(WORDS))] = draw(VALUES)
            case "wrap":
                parent[last] = draw(
                    st.sampled_from([[parent[last]], {"relu": parent[last]}, [parent[last]] * 2])
                )
            case _:
                parent[last] = json.loads(json.dumps(draw(st.sampled_from(list(_values(document))))))
    return document


def _values(value: Any) -> Any:  # noqa: ANN401
    yield value
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in below:
        yield from _values(item)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(document=mutated())
def test_mutated_spec_is_read_or_refused(document: Any, tmp_path_factory: Any) -> None:  # noqa: ANN401
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    try:
        spec = read_spec(path)
        if spec.layers is not None:
            build_network(spec)
    except GraftError as error:
        assert str(error).strip()
