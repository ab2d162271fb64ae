"""Averages of weights and of predictions."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from small_kit import small_net
from torch import nn

from finetune.models.ensemble import (
    Candidate,
    State,
    average_states,
    build_ensemble,
    draw_bootstrap,
    keep_best,
    make_soup,
)

pytestmark = pytest.mark.usefixtures("seeded")


def states(count: int) -> list[State]:
    return [small_net().state_dict() for _ in range(count)]


def test_an_ensembles_probabilities_are_the_members_mean() -> None:
    net, images = small_net().eval(), torch.randn(5, 1, 8, 8)
    members = states(3)
    before = copy.deepcopy(net.state_dict())
    ensemble = build_ensemble(net, members).eval()
    probabilities = []
    for state in members:
        net.load_state_dict(state)
        probabilities.append(net(images).softmax(dim=1))
    torch.testing.assert_close(ensemble(images).softmax(dim=1), torch.stack(probabilities).mean(dim=0))
    assert not torch.equal(next(iter(before.values())), net.get_parameter("0.weight"))


def test_certain_members_give_finite_logits() -> None:
    net = nn.Linear(1, 2, bias=False)
    sure = [{"weight": torch.tensor([[200.0], [-200.0]])}, {"weight": torch.tensor([[-200.0], [200.0]])}]
    logits = build_ensemble(net, sure)(torch.ones(1, 1))
    torch.testing.assert_close(logits.softmax(dim=1), torch.tensor([[0.5, 0.5]]))


def test_an_ensemble_exports_to_onnx_with_equal_answers(tmp_path: Path) -> None:
    ensemble = build_ensemble(small_net(), states(2)).eval()
    path = tmp_path / "ensemble.onnx"
    torch.onnx.export(
        ensemble,
        (torch.randn(2, 1, 8, 8),),
        path,
        dynamo=True,
        input_names=["image"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    images = torch.randn(5, 1, 8, 8)
    [answers] = onnxruntime.InferenceSession(path).run(None, {"image": images.numpy()})
    np.testing.assert_allclose(answers, ensemble(images).detach().numpy(), atol=1e-5)  # float32


def test_averaged_weights_are_means_and_counts_are_the_lasts() -> None:
    first, second = states(2)
    second["1.0.num_batches_tracked"].fill_(7)
    averaged = average_states([first, second])
    torch.testing.assert_close(averaged["0.weight"], (first["0.weight"] + second["0.weight"]) / 2)
    assert averaged["1.0.num_batches_tracked"].item() == 7
    small_net().load_state_dict(averaged)


def test_a_soup_adds_only_what_improves_validation() -> None:
    values = [0.0, 3.0, -1.2, 1.0]
    candidates = [{"w": torch.tensor([value])} for value in values]

    def evaluate(state: State) -> float:
        return -abs(state["w"].item() - 0.2)

    soup = make_soup(candidates, evaluate)
    # best alone: 0.0; with 1.0 worse (0.5); with -1.2 worse; with 3.0 worse
    assert soup.kept == (0,)
    assert soup.score == pytest.approx(-0.2)
    soup = make_soup([*candidates, {"w": torch.tensor([0.45])}], evaluate)
    # 0.0 and 0.45 make 0.225, and nothing betters that
    assert soup.kept == (0, 4)
    assert soup.state["w"].item() == pytest.approx(0.225)
    assert soup.score == pytest.approx(-0.025)


def test_a_soup_is_never_worse_than_its_best_candidate() -> None:
    generator = torch.Generator().manual_seed(0)
    candidates = [{"w": torch.randn(4, generator=generator)} for _ in range(6)]

    def evaluate(state: State) -> float:
        return -state["w"].square().sum().item()

    soup = make_soup(candidates, evaluate)
    assert soup.score == evaluate(soup.state) > max(evaluate(state) for state in candidates)
    assert len(soup.kept) > 1


def test_the_best_epochs_are_kept_and_of_equals_the_earlier() -> None:
    kept: tuple[Candidate, ...] = ()
    for epoch, score in enumerate([0.5, 0.7, 0.6, 0.7, 0.4]):
        kept = keep_best(kept, Candidate(epoch, score), 3)
    assert [one.epoch for one in kept] == [1, 3, 2]


def test_bootstrap_samples_are_of_full_size_with_repeats_and_differ_by_member() -> None:
    first, again, other = (draw_bootstrap(1000, seed=4, member=member) for member in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(first) == 1000
    # of n draws with replacement 1 - 1/e are different ones
    assert len(np.unique(first)) / 1000 == pytest.approx(0.632, abs=0.04)
