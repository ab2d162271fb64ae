"""`graft zoo describe`: a table, JSON or Markdown."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
import zoo.__main__ as command
from zoo.describe import describe, violated_facts

ROOT = Path(__file__).resolve().parents[3]


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Run `python -m zoo` in this process; return its output."""
    monkeypatch.setattr(sys, "argv", ["zoo", *arguments])
    with pytest.raises(SystemExit) as caught:
        command.main()
    captured = capsys.readouterr()
    assert not caught.value.code, captured.err
    return captured.out


def test_json_has_every_number(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    printed = run(capsys, monkeypatch, "describe", "resnet18", "--format", "json", "--set", "classes=7")
    data = json.loads(printed)
    assert data["params"] == sum(layer["params"] for layer in data["layers"]) == 11_689_512 - 993 * 513
    assert data["macs"] == sum(layer["macs"] for layer in data["layers"]) == 1_814_073_344 - 993 * 512
    assert data["input"]["height"] == 224
    assert data["choices"]["norm"] == {"batch_norm": {"affine": True, "eps": 1e-5, "momentum": 0.1}}
    assert [stage["output"] for stage in data["stages"]] == [
        [64, 56, 56], [128, 28, 28], [256, 14, 14], [512],
    ]  # fmt: skip
    assert data["layers"][-1] == {
        "path": "fc",
        "kind": "linear",
        "arguments": ["512 to 7"],
        "output": [7],
        "params": 3591,
        "macs": 3584,
        "init": {"weight": "uniform", "bias": "zeros"},
        "part": "fc",
        "id": "fc",
        "sources": ["flatten"],
    }


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "fcn8s", "alexnet_2012"])
def test_table_of_100_columns_cuts_nothing_off(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    printed = run(capsys, monkeypatch, "describe", name)
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100
    assert "…" not in printed
    description = describe(zoo.read_spec(name))
    for row in description.layers:
        line = next(line for line in lines if line.split()[:1] == [row.path])
        assert row.kind.startswith(line.split()[1])
        assert "x".join(map(str, row.output)) in line
        assert not row.params or f"{row.params:,}" in line
    assert f"{description.params:,} parameters" in printed
    assert f"{description.stages[-1]}: stage {len(description.stages)} of" in printed


def test_the_table_has_the_changes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change = "choices.norm=group_norm"
    printed = run(capsys, monkeypatch, "describe", "lenet5", "--set", change, "--weights")
    assert f"changed  {change}" in printed
    assert "norm group_norm, act tanh, drop none" in printed
    assert "3 groups" in printed
    assert "zeros" in printed
    assert "no weights are declared" in printed


def test_markdown_is_a_table_of_all_layers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = run(capsys, monkeypatch, "describe", "lenet5", "--format", "markdown").splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 3 + 12  # titles and ruler, stages, layers
    assert {line.count("|") for line in table} == {7}
    assert "| conv1 | conv | 5x5 | 6x28x28 | 156 | 117.6 K |" in table
    assert "| **pool1: stage 1 of 3** |  |  | **6x14x14** | **156** | **117.6 K** |" in table
    assert "| fc3 | linear (head) | 84 to 10 | 10 | 850 | 840 |" in table


def test_violated_facts() -> None:
    spec = zoo.read_spec("lenet5")
    assert violated_facts(describe(spec)) == []
    wrong = zoo.read_spec(
        "lenet5",
        {
            "facts.params": 61707,
            "facts.macs": 1,
            "facts.params_of.conv1": 157,
            "facts.params_of.convx1": 157,
            "facts.macs_of": {"fc3": 841},
        },
    )
    assert violated_facts(describe(wrong)) == [
        "params: expected 61,707, found 61,706",
        "macs: expected 1, found 416,520",
        "params_of.conv1: expected 157, found 156",
        "params_of.convx1: the network has no module 'convx1'; did you mean 'conv1'?",
        "macs_of.fc3: expected 841, found 840",
    ]


def test_facts_of_a_module_include_its_children() -> None:
    spec = zoo.read_spec("resnet18", {"facts.params_of": {"layer1": 147_968, "layer1.1": 73_984}})
    assert violated_facts(describe(spec)) == []


def test_help_takes_half_a_second_and_no_torch() -> None:
    durations = []
    for _ in range(3):  # time on the processor, the best of three: the machine may do other things too
        before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        shown = _help()
        durations.append(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before)
    assert "--graph" in shown.stdout
    imported = {line.rpartition("|")[2].strip() for line in _help("-X", "importtime").stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {"torch", "numpy", "yaml"}
    assert min(durations) < 0.5


def _help(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-m", "zoo", "describe", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
