"""What the search section takes, and where a mistake in it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import zoo
from finetune.__main__ import app
from finetune.config import FinetuneSettings, SearchSettings
from finetune.search.check import check_space
from zoo.errors import GraftError

WRONG = """\
extends: lenet5
data: {folder: no/such/folder}
search:
  space:
    finetune.learning_rte: {log: [1e-4, 1]}
    finetune.batch_size: {int: [0, 64]}
    finetune.accumulate: {uniform: [1, 3.5]}
    finetune.optimizer: {choice: [sgd, adamv, {adamw: {epz: 1e-6}}]}
    finetune.optimizer.sgd.momentum: {uniform: [0, 0.9]}
    finetune.epochs: {int: [1, 3]}
    data.val: {uniform: [0.1, 0.3]}
    choices.nrm: {choice: [batch_norm]}
    layers.conv1.conv.out: {int: [-1, 8]}
"""
TOLD = """\
wrong.yaml:5:5: search.space.finetune.learning_rte: unknown key 'learning_rte'
        finetune.learning_rte: {log: [1e-4, 1]}
        ^^^^^^^^^^^^^^^^^^^^^
  expected: FINETUNE_KEYS      did you mean 'learning_rate'?
wrong.yaml:6:33: search.space.finetune.batch_size: found the number 0
        finetune.batch_size: {int: [0, 64]}
                                    ^
  expected: 1 or more or 'auto'
wrong.yaml:7:37: search.space.finetune.accumulate: found the number 1.0
        finetune.accumulate: {uniform: [1, 3.5]}
                                        ^
  expected: an integer
wrong.yaml:7:40: search.space.finetune.accumulate: found the number 3.5
        finetune.accumulate: {uniform: [1, 3.5]}
                                           ^^^
  expected: an integer
wrong.yaml:8:40: search.space.finetune.optimizer: unknown optimizer 'adamv'
        finetune.optimizer: {choice: [sgd, adamv, {adamw: {epz: 1e-6}}]}
                                           ^^^^^
  expected: NAME or {NAME: {arguments}}, one of sgd, adagrad, rmsprop, adam, adamw, timm      did you mean 'adam'?
wrong.yaml:8:47: search.space.finetune.optimizer: finetune.optimizer.adamw: unknown key 'epz'
        finetune.optimizer: {choice: [sgd, adamv, {adamw: {epz: 1e-6}}]}
                                                  ^^^^^^^^^^^^^^^^^^^^
  expected: betas, eps, amsgrad      did you mean 'eps'?
wrong.yaml:9:5: search.space.finetune.optimizer.sgd.momentum: is part of 'finetune.optimizer', which is searched too
        finetune.optimizer.sgd.momentum: {uniform: [0, 0.9]}
        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  expected: one of them
wrong.yaml:10:5: search.space.finetune.epochs: cannot be searched: search.epochs is the length of a trial
        finetune.epochs: {int: [1, 3]}
        ^^^^^^^^^^^^^^^
  expected: another key
wrong.yaml:11:5: search.space.data.val: 'data' cannot be searched
        data.val: {uniform: [0.1, 0.3]}
        ^^^^^^^^
  expected: finetune.…, augment.…, choices.…, input.…, layers.…, blocks.…
wrong.yaml:12:5: search.space.choices.nrm: unknown key 'nrm'
        choices.nrm: {choice: [batch_norm]}
        ^^^^^^^^^^^
  expected: norm, act, drop, input_drop, init      did you mean 'norm'?
wrong.yaml:13:35: search.space.layers.conv1.conv.out: found the number -1
        layers.conv1.conv.out: {int: [-1, 8]}
                                      ^^
  expected: more than 0
"""  # noqa: E501


def test_mistakes_in_the_space_are_found_before_data_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.yaml").write_text(WRONG)
    result = CliRunner().invoke(app, ["search", "wrong.yaml"])
    assert isinstance(result.exception, zoo.SpecError)
    assert str(result.exception) + "\n" == TOLD.replace(
        "FINETUNE_KEYS", ", ".join(FinetuneSettings.model_fields)
    )
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "space: {finetune.l1: {log: [1, 0.1]}}",
            "2:18: search.space.finetune.l1: log: expected the lower end first",
        ),
        ("space: {finetune.l1: {log: [0, 1]}}", "log: expected ends above 0; found 0 to 1"),
        ("space: {finetune.l1: {uniform: [0, .inf]}}", "numbers must be finite"),
        ("space: {finetune.l1: {uniform: [0]}}", "expected: a list of 2 or more"),
        (
            "space: {finetune.l1: {log: [0.1, 1], int: [1, 2]}}",
            "expected one of log, uniform, int, choice; found log and int",
        ),
        ("space: {finetune.l1: {lug: [0.1, 1]}}", "unknown key 'lug'"),
        (
            "space: {finetune.accumulate: {int: [1.5, 2]}}",
            "search.space.finetune.accumulate.int.0: found the number 1.5",
        ),
        ("space: {finetune.l1: {choice: [1, 1]}}", "expected each value once"),
        ("trials: 0", "2:18: search.trials: found the number 0"),
        ("pruner: medium", "did you mean 'median'?"),
        ("storage: postgres", "expected local, or a URL such as postgresql://host/name; found 'postgres'"),
        ("fine: {share: 1.0}", "search.fine.share"),
        ("fine: {best: 2}, sampler: gp", "fine: the ranges of gp cannot change"),
    ],
)
def test_wrong_sections_are_refused_when_the_spec_is_read(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(f"extends: lenet5\nsearch: {{{line}}}\n")
    with pytest.raises(GraftError) as caught:
        zoo.read_spec(path)
    assert message in str(caught.value)


def test_the_section_survives_being_written_out(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("extends: lenet5\nsearch: {space: {finetune.l1: {log: [1e-6, 1]}}, fine: none}\n")
    spec = zoo.read_spec(path)
    path.write_text(spec.to_yaml())
    assert zoo.read_spec(path).sections["search"] == spec.sections["search"]
    assert "finetune.l1:\n      log: [1.0e-06, 1.0]" in spec.to_yaml()


def test_the_default_space_is_rate_and_decay() -> None:
    spec = zoo.read_spec("lenet5")
    check_space(spec)
    settings = spec.sections["search"]
    assert isinstance(settings, SearchSettings)
    assert list(settings.space) == ["finetune.learning_rate", "finetune.weight_decay"]
    assert settings.coarse_trials == settings.trials / 2
