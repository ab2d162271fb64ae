"""Every strategy from pretrained weights to a trained network, on digits, with the smallest one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from search_kit import write_digits

import finetune.planning.choose
import zoo
from finetune.api import make_plan, run
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import prepare
from finetune.finished import load_run
from finetune.planning.choose import choose_plan
from finetune.probes.classifier import fit_head
from finetune.records.report import NoWeights, StartingWeights
from finetune.tasks.evaluate import evaluate_artifact
from zoo.errors import GraftError

pytestmark = pytest.mark.usefixtures("unexported")

QUIET = Console(quiet=True)
SIZES = {"images": 360, "smallest_class": 36, "median_class": 36}
RACE = {"winner": "full", "at_chance": False, "rounds": 1, "seconds": 1.0, "left_out": []}
NO_EPOCHS = {"epochs": 0, "images_per_s": 100.0, "minutes": 1.0}
SPEC = """
extends: resnet_tiny
name: pretrained
weights:
  default:
    {{file: {file}, licence: none, classes: 200, input: {{mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}}}}
data: {{folder: {images}, val: 0.25, test: 0.25}}
finetune: {{epochs: 1, precision: float32, report: false, cache: {cache}}}
export: {{parity_images: 10}}
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec whose `default` weights are random ones: strategies need weights, not good ones."""
    folder = tmp_path_factory.mktemp("spec")
    net = zoo.build("resnet_tiny", seed=3)
    save_file(net.state_dict(), folder / "weights.safetensors")
    path = folder / "pretrained.yaml"
    images = write_digits(folder / "digits", each=72)  # 360 of them to learn from
    path.write_text(SPEC.format(file=folder / "weights.safetensors", cache=folder / "cache", images=images))
    return path


@pytest.fixture(scope="module")
def planned(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The content of the spec's plan file."""
    folder = tmp_path_factory.mktemp("planned")
    make_plan(spec, root=folder, console=QUIET)
    return written_plan(folder).read_text()


@pytest.mark.parametrize("strategy", ["linear_probe", "stage_probe", "partial", "full"])
def test_strategy(strategy: str, spec: Path, tmp_path: Path) -> None:
    report = run(spec, set={"finetune.strategy": strategy}, run=tmp_path / "run", console=QUIET)
    assert report.plan.strategy == strategy
    start, end = (
        load_file(spec.parent / "weights.safetensors"),
        load_file(report.folder / "model.safetensors"),
    )
    changed = {name for name, value in start.items() if name in end and not torch.equal(value, end[name])}
    if strategy == "linear_probe":
        assert changed == {"fc.weight", "fc.bias"}
        assert float(str(report.metrics["accuracy"])) > 0.6
    elif strategy == "stage_probe":
        assert not changed  # the trunk's names are under another path, its values the same
        assert all(torch.equal(start[n.removeprefix("trunk.")], v) for n, v in end.items() if "trunk." in n)
        assert float(str(report.metrics["accuracy"])) > 0.6
    elif strategy == "partial":
        assert changed
        assert all(name.startswith(("layer3", "fc")) for name in changed)
    else:
        assert any(name.startswith("conv1") for name in changed)
    again = load_run(report.folder)
    assert set(again.net.state_dict()) == set(end)
    weights = report.report.weights
    assert isinstance(weights, StartingWeights) and weights.name == "default"


def test_auto_trains_the_winner_of_the_race(spec: Path, tmp_path: Path) -> None:
    report = run(spec, set={"data.similarity": "similar"}, run=tmp_path / "run", console=QUIET)
    race = report.plan.evidence.race
    assert race is not None
    assert report.plan.cell == ("very little data", "similar")
    assert report.plan.strategy == race.winner
    assert set(race.scores) == {"linear_probe", "stage_probe", "partial", "full"}
    assert any("scratch does not race" in reason for reason in report.plan.reasons)
    assert any("the table says linear_probe" in reason for reason in report.plan.reasons)
    accuracy, minutes = report.report.outcome.accuracy, report.report.outcome.minutes
    assert accuracy is not None and minutes is not None
    assert accuracy.actual == report.metrics["accuracy"]
    assert accuracy.predicted == race.scores[race.winner].expected
    assert minutes.actual >= 0


def test_scratch_beside_weights_starts_from_random_ones(spec: Path, tmp_path: Path) -> None:
    values = {"finetune.strategy": "scratch", "finetune.learning_rate": 1e-9, "finetune.weights": "default"}
    report = run(spec, set=values, run=tmp_path / "run", console=QUIET)
    start = load_file(spec.parent / "weights.safetensors")
    end = load_file(report.folder / "model.safetensors")
    assert not torch.allclose(start["conv1.weight"], end["conv1.weight"], atol=1e-3)
    assert report.report.weights == NoWeights("the plan starts without weights")
    assert set(load_run(report.folder).net.state_dict()) == set(end)


def test_a_head_may_start_from_a_probe(spec: Path) -> None:
    recipe = read_recipe(spec, set={"finetune.strategy": "full", "finetune.head": "probe"})
    setup = prepare(recipe, load_data(recipe))
    assert choose_plan(setup).head == "probe"
    fit_head(setup)
    found = evaluate_artifact(setup.net, setup.preprocess, setup.val, setup.task, setup.classes)
    assert found.score > 0.6


def test_a_probe_that_the_spec_asks_for_is_timed_in_its_plan(spec: Path, tmp_path: Path) -> None:
    plan = make_plan(spec, set={"finetune.strategy": "stage_probe"}, root=tmp_path, console=QUIET)
    assert plan.evidence.forecasts.keys() == {"stage_probe", "partial", "full", "scratch"}


def test_too_many_stages_are_refused(spec: Path, tmp_path: Path) -> None:
    keys = {"finetune.strategy": "partial", "finetune.partial.stages": 9}
    with pytest.raises(
        GraftError, match="stages: 9; pretrained has 3 stages\n  expected: at most 3, or finetune"
    ):
        make_plan(spec, set=keys, root=tmp_path, console=QUIET)


def test_a_probe_beyond_the_budget_does_not_race(spec: Path, tmp_path: Path) -> None:
    plan = make_plan(spec, set={"finetune.budget_minutes": 1e-4}, root=tmp_path, console=QUIET)
    assert plan.strategy == "linear_probe"
    assert any(reason.endswith("the budget is exceeded") for reason in plan.reasons)


def test_auto_measures_how_similar_the_images_are(spec: Path, tmp_path: Path) -> None:
    plan = make_plan(spec, root=tmp_path, console=QUIET)
    assert plan.cell is not None
    assert plan.evidence.measured
    assert any(reason.startswith("similarity: ") and "drift" in reason for reason in plan.reasons)


def test_a_strategy_that_needs_weights_is_refused_without_them(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="partial needs pretrained weights, and there are none"):
        run("lenet5", set={"finetune.strategy": "partial"}, run=tmp_path / "run", console=QUIET)


def test_a_second_plan_is_cached(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"finetune.cache": str(tmp_path / "cache")}
    first = make_plan(spec, set=own, root=tmp_path, console=QUIET)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(finetune.planning.choose, "measure_evidence", never)
    monkeypatch.setattr(finetune.planning.choose, "run_race", never)
    monkeypatch.setattr(finetune.planning.choose, "forecast_plan", never)
    assert make_plan(spec, set=own, root=tmp_path, console=QUIET) == first
    with pytest.raises(AssertionError, match="measured again"):  # other images are another question
        make_plan(spec, set=own | {"finetune.seed": 1}, root=tmp_path, console=QUIET)


def test_a_folder_that_was_moved_has_the_same_plan(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_digits(tmp_path / "digits", each=20)
    first = make_plan(spec, str(folder), root=tmp_path, console=QUIET)
    monkeypatch.setattr(finetune.planning.choose, "measure_evidence", None)
    (tmp_path / "link").symlink_to(folder)
    assert make_plan(spec, str(tmp_path / "link"), root=tmp_path, console=QUIET) == first
    moved = folder.rename(tmp_path / "moved")
    assert make_plan(spec, str(moved), root=tmp_path, console=QUIET) == first
    for image in sorted(moved.glob("0/*.png"))[:10]:
        image.unlink()
    with pytest.raises(TypeError):  # other images are another question
        make_plan(spec, str(moved), root=tmp_path, console=QUIET)


def test_of_many_images_a_sample_is_looked_at(spec: Path, tmp_path: Path) -> None:
    plan = make_plan(spec, set={"finetune.evidence_images": 100}, root=tmp_path, console=QUIET)
    assert 95 <= plan.evidence.measured_images <= 105 < plan.evidence.images
    assert f"a sample of {plan.evidence.measured_images}" in " ".join(plan.reasons)


def written_plan(root: Path) -> Path:
    """The one plan of the spec's data."""
    (path,) = (root / "pretrained").glob("*.plan.json")
    return path


def test_a_plan_that_was_edited_is_carried_out(spec: Path, planned: str, tmp_path: Path) -> None:
    path = tmp_path / "edited.plan.json"
    plan = json.loads(planned) | {"strategy": "partial", "trains": ["layer3.1", "fc"], "epochs": 1}
    path.write_text(json.dumps(plan | {"batch_size": 32, "learning_rate": 0.01}))
    report = run(spec, set={"finetune.plan": str(path)}, run=tmp_path / "run", console=QUIET)
    assert report.plan.trains == ("layer3.1", "fc")
    start, end = (
        load_file(spec.parent / "weights.safetensors"),
        load_file(report.folder / "model.safetensors"),
    )
    changed = {name for name, value in start.items() if name in end and not torch.equal(value, end[name])}
    assert changed
    assert all(name.startswith(("layer3.1", "fc")) for name in changed)


def test_a_given_plan_names_what_it_was_not_made_for(spec: Path, tmp_path: Path) -> None:
    made = make_plan(spec, root=tmp_path, console=QUIET)
    path = written_plan(tmp_path)
    edited = json.dumps(
        json.loads(path.read_text()) | {"strategy": "full", "trains": [""], "learning_rate": 0.1}
    )
    path.write_text(edited)
    keys = {"finetune.plan": str(path), "finetune.strategy": "partial", "finetune.budget_minutes": 1}
    given = make_plan(spec, set=keys | {"data.val": 0.3}, root=tmp_path, console=QUIET)
    assert path.read_text() == edited
    images, *others = given.reasons[: len(given.reasons) - len(made.reasons)]
    now = int(images.rpartition(" now")[0].split()[-1])
    assert now < made.evidence.images
    words = f"given plan: it was made for {made.evidence.images} training images, and there are {now} now"
    assert images.startswith(words)
    assert others == [
        "given plan: the spec says partial, the plan full: the plan is followed",
        "given plan: it is followed as it is: finetune.budget_minutes has no effect",
    ]
    assert "differs from the usual" not in given.summary
    path.write_text(given.to_json())
    assert make_plan(spec, set=keys | {"data.val": 0.3}, root=tmp_path, console=QUIET) == given
    assert "The plan is full" in given.summary


def test_a_plan_that_was_edited_is_kept_when_another_is_made(spec: Path, tmp_path: Path) -> None:
    make_plan(spec, root=tmp_path, console=QUIET)
    path = written_plan(tmp_path)
    fresh, edited = path.read_text(), path.read_text().replace('"epochs": ', '"epochs": 1')
    make_plan(spec, root=tmp_path, console=QUIET)
    assert [kept.name for kept in path.parent.iterdir()] == [path.name]
    for _ in range(2):
        path.write_text(edited)
        make_plan(spec, root=tmp_path, console=QUIET)
    assert path.read_text() == fresh
    kept = [other for other in path.parent.iterdir() if other != path]
    assert [other.read_text() for other in kept] == [edited, edited]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"trains": ["layer9"]}, "trains names 'layer9', and pretrained has no module of that path"),
        ({"epochs": 0}, r"plan.json:\d+:\d+: epochs: found the number 0"),
        ({"epochs": 2.5}, r"plan.json:\d+:\d+: epochs: found the number 2.5"),
        ({"strategy": "fulll"}, "strategy 'fulll' is unknown"),
        ({"strategy": ["full"]}, "strategy: found a list"),
        ({"more": 1}, "unknown key 'more'"),
        ({"epochs": "ten"}, "epochs: found the text 'ten'"),
        ({"trains": None}, "trains: found nothing"),
        ({"trains": []}, "trains holds nothing"),
        ({"head": "frsh"}, "head: found the text 'frsh'\n(.*\n)*.*did you mean 'fresh'"),
        ({"cell": ["little", "different"]}, "found little, different; expected one of"),
        ({"learning_rate": math.nan}, "learning_rate: found the text 'NaN'"),
        ({"summary": 5}, "summary: found the number 5"),
        ({"evidence": []}, "evidence: found a list"),
        (
            {"evidence": SIZES | {"race": RACE | {"scores": {"full": {}}}}},
            "scores.full: missing key 'expected'",
        ),
        ({"evidence": SIZES | {"forecasts": {"full": NO_EPOCHS}}}, "full.epochs: found the number 0"),
        ({"evidence": SIZES | {"forecasts": {"full": {}}}}, "forecasts.full: missing key 'minutes'"),
        (
            {"strategy": "full", "trains": ["fc"]},
            "strategy is full, and trains holds 'fc'\n  expected: '', the",
        ),
        ({"strategy": "partial", "trains": [""]}, "strategy is partial, and trains holds '', the whole"),
        ({"strategy": "full", "trains": [""], "learning_rate": 0}, "learning_rate is 0, with which nothing"),
    ],
)
def test_an_impossible_plan_is_refused_with_the_reason(
    edit: dict[str, object], message: str, spec: Path, planned: str, tmp_path: Path
) -> None:
    path = tmp_path / "edited.plan.json"
    path.write_text(json.dumps(json.loads(planned) | edit))
    with pytest.raises(GraftError, match=message):
        run(spec, set={"finetune.plan": str(path)}, run=tmp_path / "run", console=QUIET)
