"""The network is chosen among specs on the user's images, and a run keeps to the choice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from networks_kit import write_networks, write_photos
from rich.console import Console

import zoo
from finetune.api import make_plan, run
from finetune.experiment.recipe import load_data, read_recipe
from finetune.networks import choose
from finetune.networks.choose import choose_network, find_best
from finetune.records.estimate import Estimate
from finetune.records.network import NetworkScore
from zoo.errors import GraftError

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def asks(tmp_path: Path) -> zoo.Spec:
    return read_recipe(write_networks(tmp_path), str(write_photos(tmp_path)), {"finetune.epochs": 3})


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def score(name: str, accuracy: float | None) -> NetworkScore:
    estimate = None if accuracy is None else Estimate(accuracy, 0.01)
    return NetworkScore(name, "w", "", 1, 100, estimate, left_out="" if estimate else "too slow")


def test_the_smallest_that_sees_as_much_as_the_best_is_chosen(asks: zoo.Spec) -> None:
    spec, choice = choose_network(asks, load_data(asks))
    assert (spec.name, choice.spec) == ("seeing", "seeing")
    accuracy = {each.spec: each.accuracy.value for each in choice.scores if each.accuracy}
    assert list(accuracy) == ["blind", "seeing", "large"]  # by their multiply-adds, then by name
    assert accuracy["blind"] < accuracy["seeing"] - 0.4
    assert choice.reason.startswith("seeing: a linear classifier on it recognised")
    assert len({each.images for each in choice.scores}) == 1


def test_the_chosen_spec_has_the_settings_that_were_asked_for(asks: zoo.Spec) -> None:
    spec, _ = choose_network(asks, load_data(asks))
    assert "epochs: 3" in spec.to_yaml()
    assert "photos" in spec.to_yaml()


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ((0.90, 0.95, 0.97), 2),
        ((0.90, 0.966, 0.97), 1),
        ((0.97, 0.95, 0.97), 0),
        ((None, 0.2, None), 1),
    ],
)
def test_half_a_point_is_given_up_for_a_smaller_network(
    accuracies: tuple[float | None, ...], best: int
) -> None:
    scores = [score(f"net{number}", accuracy) for number, accuracy in enumerate(accuracies)]
    assert find_best(scores) is scores[best]


def test_no_network_that_could_be_measured_is_an_error_with_the_reasons() -> None:
    with pytest.raises(GraftError, match="none of these networks could be measured:\n  net: too slow"):
        find_best([score("net", None)])


def test_a_network_too_slow_for_the_budget_is_left_out(
    asks: zoo.Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "LONGEST_S", 0.0)
    spec, choice = choose_network(asks, load_data(asks))
    assert spec.name == "blind"  # the smallest one is always measured
    assert [bool(each.left_out) for each in choice.scores] == [False, True, True]
    assert "not measured: seeing, large" in choice.reason


def test_what_choosing_takes_is_no_longer_in_the_budget(asks: zoo.Spec) -> None:
    asks = zoo.override(asks, {"finetune.budget_minutes": 5.0})
    spec, _ = choose_network(asks, load_data(asks))
    assert 4.0 < float(spec.to_yaml().partition("budget_minutes: ")[2].split(",")[0].split()[0]) < 5.0


def test_a_run_records_the_choice_and_keeps_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, photos = write_networks(tmp_path), str(write_photos(tmp_path))
    folder = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("finetune.api.read_or_choose_arithmetic", interrupt)
        run(spec, photos, run=folder, console=QUIET)
    assert json.loads((folder / "network.json").read_text())["spec"] == "seeing"
    monkeypatch.setattr("finetune.api.choose_network", lambda *_: pytest.fail("it was chosen before"))
    report = run(spec, photos, run=folder, console=QUIET)
    assert report.report.spec == "seeing"
    assert report.plan.reasons[0].startswith("seeing: ")
    assert report.onnx.exists()
    assert zoo.read_spec(folder / "spec.yaml").name == "seeing"


def test_a_plan_names_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, photos = write_networks(tmp_path), str(write_photos(tmp_path))
    plan = make_plan(spec, photos, root=tmp_path / "runs")
    shown = capsys.readouterr().out
    assert plan.reasons[0].startswith("seeing: ")
    assert "Network: seeing: a linear classifier" in shown
    assert f"graft finetune {tmp_path}/seeing.yaml" in shown.replace("\n", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"finetune.plan": "plan.json"}, "was made for one network"),
        ({"model.auto": ["seeing", "unet_lite0"]}, "is for segmentation; expected a spec for classification"),
        ({"model.auto": ["seeing", "auto"]}, "names no network"),
        ({"model.auto": ["seeing", "seeming"]}, "seeming: no such spec"),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(
    asks: zoo.Spec, change: dict[str, object], message: str
) -> None:
    asks = zoo.override(asks, change)
    with pytest.raises(GraftError, match=message):
        choose_network(asks, load_data(asks))


def test_a_spec_that_chooses_has_no_network_of_its_own() -> None:
    with pytest.raises(GraftError, match="the network is chosen on images"):
        zoo.build("auto")


def test_a_network_whose_weights_are_nowhere_is_left_out(asks: zoo.Spec) -> None:
    (asks.path.parent / "large.safetensors").unlink()
    _, choice = choose_network(asks, load_data(asks))
    assert "large.safetensors: these weights are not on this machine" in choice.scores[2].left_out
    assert choice.reason.endswith("; not measured: large")
