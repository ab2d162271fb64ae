"""Ensembles as one run: what is kept on the way, what it is made into, and that a broken run ends alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_kit import QUIET, broken_off, write_small
from subject_kit import make_subject
from torch import Tensor, nn

import zoo
from finetune.api import run
from finetune.config import DataSettings, get_section
from finetune.data import load_splits
from finetune.experiment.recipe import read_recipe
from finetune.experiment.setup import prepare
from finetune.finished import RunReport, load_run
from finetune.fit.execute import Trained, execute_plan
from finetune.fit.keepers import BestKeeper
from finetune.models.ensemble import Ensemble
from finetune.planning.choose import choose_plan
from finetune.records.metrics_log import EpochRecord, append_record, cut_log, read_records
from finetune.records.run_folder import RunFolder
from finetune.records.training import EnsembleTraining, SoupTraining
from zoo.errors import GraftError

pytestmark = pytest.mark.usefixtures("seeded")

SNAPSHOTS: dict[str, object] = {
    "finetune.ensemble": {"snapshots": 2},
    "finetune.schedule": {"cosine_restarts": {"cycles": 3}},
}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("spec"), val=0.3, test=0.6)


@pytest.fixture(scope="module")
def snapshots(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    return run(spec, set=SNAPSHOTS, run=tmp_path_factory.mktemp("snapshots") / "run", console=QUIET)


def train_only(spec: Path, settings: dict[str, object], path: Path) -> Trained:
    """A run without its last steps, measuring and exporting, which take most of its time."""
    path.mkdir(exist_ok=True)
    recipe = read_recipe(spec, set=settings)
    setup = prepare(recipe, load_splits(get_section(recipe, DataSettings), 0))
    return execute_plan(setup, choose_plan(setup), RunFolder(path), QUIET)


def ensemble_of(run: RunReport | Trained) -> EnsembleTraining:
    training = run.training if isinstance(run, Trained) else run.report.training
    assert isinstance(training, EnsembleTraining)
    return training


def probabilities(net: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.softmax(net.eval()(images), dim=1)


def test_snapshots_are_taken_at_the_ends_of_the_last_cycles(snapshots: RunReport) -> None:
    # 13 batches per epoch, 39 steps: 2 of warming up, and three cycles over the other 37
    assert [member.step for member in ensemble_of(snapshots).members] == [27, 39]
    members = sorted(path.name for path in (snapshots.folder / "members").glob("step-*"))
    assert members == ["step-000027.safetensors", "step-000039.safetensors"]


def test_all_cycles_are_gone_through_however_validation_does(spec: Path, tmp_path: Path) -> None:
    impatient = SNAPSHOTS | {"finetune.patience": 1, "finetune.learning_rate": 1e-9}
    train_only(spec, impatient, tmp_path)
    assert len(read_records(tmp_path / "metrics.jsonl")) == 3


def test_an_ensemble_is_one_network_and_answers_with_its_members_mean(snapshots: RunReport) -> None:
    finished = load_run(snapshots.folder)
    assert isinstance(finished.net, Ensemble)
    pixels = torch.from_numpy(np.stack([image.read() for image in finished.val.images[:5]]))
    images = finished.preprocess(pixels)
    alone = []
    for path in sorted((snapshots.folder / "members").glob("step-*.safetensors")):
        member = zoo.build(finished.spec)
        member.load_state_dict(load_file(path))
        alone.append(probabilities(member, images))
    assert len(alone) == 2
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    mean = torch.stack(alone).mean(dim=0)
    torch.testing.assert_close(probabilities(finished.net, images), mean)
    answers, _ = onnxruntime.InferenceSession(snapshots.onnx).run(None, {"image": pixels.numpy()})
    expected = probabilities(finished.calibrated, images)  # float32 in another order
    np.testing.assert_allclose(answers, expected.numpy(), atol=1e-5)


@pytest.mark.usefixtures("unexported")
def test_killed_between_snapshots_and_resumed(snapshots: RunReport, spec: Path, tmp_path: Path) -> None:
    def in_the_third_epoch(_: Path, name: str) -> bool:
        return name == "step-000030"  # after the first snapshot

    with broken_off(in_the_third_epoch):
        run(spec, set=SNAPSHOTS, run=tmp_path / "run", console=QUIET)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    resumed = run(spec, set=SNAPSHOTS, run=tmp_path / "run", console=QUIET)
    assert resumed.metrics == snapshots.metrics
    assert ensemble_of(resumed) == ensemble_of(snapshots)
    ours, theirs = (load_file(each.folder / "model.safetensors") for each in (resumed, snapshots))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_more_snapshots_than_steps_are_refused(spec: Path, tmp_path: Path) -> None:
    many = {
        "finetune.ensemble": {"snapshots": 9},
        "finetune.schedule": {"cosine_restarts": {"cycles": 9}},
        "finetune.epochs": 1,
        "finetune.batch_size": 60,
    }
    with pytest.raises(GraftError, match=r"9 snapshots in a run of \d steps"):
        run(spec, set=many, run=tmp_path / "run", console=QUIET)


def test_predictions_of_the_best_epochs_are_averaged(spec: Path, tmp_path: Path) -> None:
    report = train_only(spec, {"finetune.ensemble": {"average": 2}}, tmp_path)
    scores = {record.epoch: record.val_score or 0.0 for record in read_records(tmp_path / "metrics.jsonl")}
    best = sorted(scores, key=lambda epoch: (-scores[epoch], epoch))[:2]
    members = ensemble_of(report).members
    assert [member.epoch for member in members] == best
    assert [member.val_score for member in members] == [scores[epoch] for epoch in best]


def test_a_soup_is_one_plain_network_and_never_worse_in_validation(spec: Path, tmp_path: Path) -> None:
    report = train_only(spec, {"finetune.ensemble": {"soup": 3}}, tmp_path)
    scores = [record.val_score or 0.0 for record in read_records(tmp_path / "metrics.jsonl")]
    soup = report.training
    assert isinstance(soup, SoupTraining)
    assert soup.val_score >= max(scores)
    assert set(soup.epochs) <= set(soup.candidates)
    members = [
        load_file(tmp_path / "members" / f"epoch-{epoch - 1:04d}.safetensors") for epoch in soup.epochs
    ]
    weights = load_file(tmp_path / "model.safetensors")
    for name, value in weights.items():
        torch.testing.assert_close(value, torch.stack([member[name] for member in members]).mean(dim=0))


@pytest.mark.usefixtures("unexported")
def test_bagging_trains_each_member_on_its_own_sample_and_goes_on_where_it_broke(
    spec: Path, tmp_path: Path
) -> None:
    settings: dict[str, object] = {"finetune.ensemble": {"bagging": 2}, "finetune.epochs": 2}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    unbroken = train_only(spec, settings, whole)
    assert [record.member for record in read_records(whole / "metrics.jsonl")] == [1, 1, 2, 2]
    first, second = (load_file(whole / "members" / name / "model.safetensors") for name in "12")
    assert not torch.equal(first["fc.weight"], second["fc.weight"])
    with broken_off(lambda folder, _: folder == broken / "members" / "2" / "checkpoint"):
        train_only(spec, settings, broken)
    before = (broken / "members" / "1" / "model.safetensors").stat().st_mtime_ns
    resumed = train_only(spec, settings, broken)
    assert (broken / "members" / "1" / "model.safetensors").stat().st_mtime_ns == before
    ours, theirs = resumed.net.state_dict(), unbroken.net.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert ensemble_of(resumed) == ensemble_of(unbroken)


def test_a_probe_cannot_be_an_ensemble(spec: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(zoo.build(spec).state_dict(), weights)
    pretrained = tmp_path / "pretrained.yaml"
    entry = f"{{file: {weights}, licence: none, classes: 10, input: {{mean: [0.5], std: [0.5]}}}}"
    pretrained.write_text(spec.read_text() + f"weights: {{default: {entry}}}\n")
    settings = {"finetune.strategy": "linear_probe", "finetune.ensemble": {"soup": 2}}
    settings |= {"finetune.cache": str(tmp_path / "cache")}
    with pytest.raises(GraftError, match="training by gradient, and the plan is linear_probe"):
        run(pretrained, set=settings, run=tmp_path / "run", console=QUIET)


def test_the_weights_of_the_best_epochs_are_kept_and_those_a_broken_run_needs_again(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    keeper = BestKeeper(make_subject(tmp_path).trial(learning_rate=0.1), tmp_path, log, 2)

    def close(epoch: int, score: float) -> list[str]:
        record = EpochRecord(epoch + 1, 1, 0.0, 0.1, 1.0, val_score=score)
        append_record(log, record)
        keeper.on_epoch_end(record)
        return sorted(path.stem for path in tmp_path.glob("*.safetensors"))

    close(0, 0.5)
    close(1, 0.6)
    assert close(2, 0.7) == ["epoch-0000", "epoch-0001", "epoch-0002"]  # 0 goes once the checkpoint stands
    cut_log(log, 2)  # broken off before that
    assert close(2, 0.4) == ["epoch-0000", "epoch-0001"]
    assert [one.epoch for one in keeper.best] == [1, 0]
