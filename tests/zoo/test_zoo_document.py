"""docs/zoo.md: every example is read, checked and built; tables and printed text are those of the code."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path

import pytest
import torch

import zoo
import zoo.__main__ as command
from zoo.describe import describe
from zoo.registry import ACTIVATIONS, DROPS, INITS, LAYERS, NORMS, Entry, Registry
from zoo.spec.items import ops
from zoo.spec.read import spec_keys

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "zoo.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
TITLES: tuple[tuple[str, Registry], ...] = (
    ("Layers", LAYERS),
    ("Norms, for the slot `norm`", NORMS),
    ("Activations, for the slot `act`", ACTIVATIONS),
    ("Drops, for the slot `drop`", DROPS),
    ("Initial values, for `init`", INITS),
)


def read(example: str, tmp_path: Path) -> zoo.Spec:
    file = tmp_path / "my_net.yaml"
    file.write_text(example)
    return zoo.read_spec(file)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_is_a_spec_that_builds_and_runs(example: str, tmp_path: Path) -> None:
    spec = read(example, tmp_path)
    net = zoo.build(spec).eval()
    size = spec.input
    with torch.no_grad():
        answer = net(torch.zeros(1, size.channels, size.height, size.width))
    places = (size.height, size.width) if spec.task == "segmentation" else ()
    assert answer.shape == (1, spec.classes, *places)
    assert describe(spec).params == sum(parameter.numel() for parameter in net.parameters())


def test_every_rule_has_an_example() -> None:
    rules = re.findall(r"^### (\d)\. ", DOCUMENT.read_text(), re.MULTILINE)
    assert rules == list("12345678")
    assert len(EXAMPLES) == 1 + 8 + 1 + 1 + 1  # tutorial, rules (the seventh has two), init, model


def test_the_network_of_the_tutorial(tmp_path: Path) -> None:
    description = describe(read(EXAMPLES[0], tmp_path))
    assert (description.head, description.stages) == ("fc", ("stage1", "stage2"))
    assert [row.output for row in description.below("stage2")][-1] == (64, 16, 16)
    assert description.layers[-1].output == (5,)


def test_the_description_is_that_of_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", ["zoo", "describe", "lenet5"])
    with pytest.raises(SystemExit):
        command.main()
    printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.rstrip().splitlines())
    assert f"```text\n{printed}\n```" in DOCUMENT.read_text()


def test_every_layer_is_documented() -> None:
    assert op_tables() in DOCUMENT.read_text()
    assert len(ops()) > 40


def test_every_key_of_a_spec_is_documented() -> None:
    text = DOCUMENT.read_text()
    assert [key for key in spec_keys() if f"`{key}`" not in text and f"{key}:" not in text] == []


def op_tables() -> str:
    """Write the tables of every op from the signatures that a spec is checked by."""
    lines = []
    for title, registry in TITLES:
        lines += [f"### {title}", "", "| op | arguments | |", "|---|---|---|"]
        lines += [_line(registry[name]) for name in registry.names()]
        lines.append("")
    return "\n".join(lines)


def _line(entry: Entry) -> str:
    arguments = ", ".join(
        p.name if p.default is inspect.Parameter.empty else f"{p.name}: {_yaml(p.default)}"
        for p in entry.parameters
    )
    return f"| `{entry.name}` | {arguments} | {entry.doc.replace('|', chr(92) + '|')} |"


def _yaml(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
