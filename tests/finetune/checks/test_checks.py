"""Sanity checks: a sound recipe passes all of them, and each planted fault is caught by the one for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from subject_kit import check, digits, failing, make_subject, with_targets
from torch import Tensor, nn

from finetune.checks.run import CHECKS, run_checks
from finetune.checks.subject import Subject
from finetune.data import Split
from finetune.data.subset import pick_rows
from zoo import Audit, Origin

NAMES = [each.name for each in CHECKS.values()]
pytestmark = pytest.mark.usefixtures("seeded")

ZERO = "[{layer: conv, weight: zeros, bias: zeros}, {layer: linear, weight: zeros, bias: zeros}]"
CONSTANT = ZERO.replace("weight: zeros", "weight: {constant: {value: 0.1}}")


def test_a_sound_recipe_passes_every_check(tmp_path: Path) -> None:
    results = list(run_checks(make_subject(tmp_path)))
    assert [(result.name, result.status) for result in results] == [(name, "passed") for name in NAMES]
    assert not any(result.advice for result in results)


def test_shuffled_labels(tmp_path: Path) -> None:
    shuffled = np.random.default_rng(0).permutation(digits().train.targets)
    result = check(make_subject(tmp_path, splits=with_targets(digits(), shuffled)), "labels")
    assert result.failed
    assert abs(result.numbers["accuracy"] - 0.1) < 0.05  # ten classes: a guess
    assert check(make_subject(tmp_path), "labels").numbers["accuracy"] > 0.85


def test_labels_of_too_few_images_are_not_judged(tmp_path: Path) -> None:
    train = digits().train
    few = replace(digits(), train=pick_rows([train], np.arange(8)))
    result = check(make_subject(tmp_path, splits=few), "labels")
    assert (result.status, result.found) == ("skipped", "8 training images are too few")


@pytest.mark.parametrize(("rate", "found"), [(1e6, "over three times its start"), (1e-9, "falls by 0.0%")])
def test_a_wrong_learning_rate_and_the_one_proposed_for_it(tmp_path: Path, rate: float, found: str) -> None:
    subject = make_subject(tmp_path, {"finetune.learning_rate": rate})
    result = check(subject, "learning_rate")
    assert result.failed
    assert found in result.found
    assert failing(subject) == {"learning_rate"}
    proposed = float(result.advice.partition("=")[2].partition(",")[0])
    assert (
        check(make_subject(tmp_path, {"finetune.learning_rate": proposed}), "learning_rate").status
        == "passed"
    )


def test_accumulation_does_not_change_the_rate_test(tmp_path: Path) -> None:
    found = [
        check(make_subject(tmp_path, {"finetune.accumulate": count}), "learning_rate").numbers
        for count in (1, 8)
    ]
    assert found[0] == found[1]


def test_a_fitted_head_may_know_its_classes(tmp_path: Path) -> None:
    subject = make_subject(tmp_path)
    with torch.no_grad():
        for parameter in subject.setup.net.get_submodule("fc").parameters():
            parameter.mul_(30)
    result = check(replace(subject, plan=replace(subject.plan, head="probe")), "initial_loss")
    assert result.failed and result.advice.startswith("finetune.head=fresh: the head was fitted")
    assert result.expected.startswith("at most")


def test_zero_weights(tmp_path: Path) -> None:
    subject = make_subject(tmp_path, {"choices.init": ZERO})
    assert failing(subject, brief=True) == {"initial_weights", "activations", "regularisation"}
    assert "conv1, fc1" in check(subject, "initial_weights").found
    assert "act1 (100%), act2 (100%)" in check(subject, "activations").found


def test_constant_weights_leave_units_alike(tmp_path: Path) -> None:
    result = check(make_subject(tmp_path, {"choices.init": CONSTANT}), "initial_weights")
    assert result.failed
    assert "conv1, fc1" in result.found


def test_a_head_that_starts_at_zero_is_sound(tmp_path: Path) -> None:
    subject = make_subject(tmp_path)
    nn.init.zeros_(subject.setup.net.get_submodule("fc").weight)
    assert failing(subject, brief=True) == set()


@pytest.mark.parametrize("std", [1 / 255, 1.0])  # grey levels 0 to 255, and 0 to 1
def test_inputs_that_are_not_normalised(tmp_path: Path, std: float) -> None:
    result = check(make_subject(tmp_path, {"input.mean": [0.0], "input.std": [std]}), "inputs")
    assert result.failed
    sound = check(make_subject(tmp_path), "inputs")
    assert sound.numbers["mean"] < 0.1
    assert sound.numbers["smallest_deviation"] == pytest.approx(1, abs=0.1)


def test_a_frozen_layer_that_should_train(tmp_path: Path) -> None:
    subject = make_subject(tmp_path, {"finetune.stage_rates": "{conv1: 0}"})
    assert failing(subject, brief=True) == {"frozen"}
    assert check(subject, "frozen").found == "frozen: conv1"


def test_pretrained_layers_may_be_frozen_and_new_ones_may_not(tmp_path: Path) -> None:
    subject = make_subject(tmp_path)
    audit = Audit(
        loaded=("conv1.weight", "conv1.bias"), fresh=("fc.weight", "fc.bias"), missing=("fc1.weight",)
    )
    origin = Origin("planted", "here", "none", "", 10, audit)
    head_only = Subject(
        replace(subject.setup, origin=origin), replace(subject.plan, trains=("fc",)), subject.device
    )
    assert head_only.trainable == {"fc.weight", "fc.bias", "fc1.weight"}
    assert check(head_only, "frozen").found == "frozen: fc1"


def cut(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return output.detach()


def test_a_detached_branch(tmp_path: Path) -> None:
    subject = make_subject(tmp_path)
    subject.setup.net.get_submodule("conv1").register_forward_hook(cut)
    assert failing(subject, brief=True) == {"detached"}
    assert check(subject, "detached").found == "no gradient reaches conv1"


def test_a_bias_before_a_batch_norm_is_not_detached(tmp_path: Path) -> None:
    subject = make_subject(tmp_path)
    net = subject.setup.net
    net.fc1 = nn.Sequential(net.get_submodule("fc1"), nn.BatchNorm1d(32))
    assert check(subject, "detached").found == "a gradient reaches every parameter"


class Halved(torch.autograd.Function):
    """The identity with a backward pass that gives half the gradient."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient / 2


def halve(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    halved: Tensor = Halved.apply(output)
    return halved


def test_a_wrong_backward_pass(tmp_path: Path) -> None:
    subject = make_subject(tmp_path)
    assert check(subject, "gradient").numbers["worst"] < 1e-5
    subject.setup.net.get_submodule("fc1").register_forward_hook(halve)
    result = check(subject, "gradient")
    assert result.failed
    assert result.numbers["worst"] == pytest.approx(0.5, abs=0.01)


def test_dead_units(tmp_path: Path) -> None:
    subject = make_subject(tmp_path)
    bias = subject.setup.net.get_submodule("fc1").bias
    assert isinstance(bias, Tensor)
    nn.init.constant_(bias, 1000)
    nn.init.constant_(bias[:12], -1000)
    assert check(subject, "activations").numbers["worst_share"] == 12 / 32
    nn.init.constant_(bias[:24], -1000)
    again = Subject(subject.setup, subject.plan, subject.device)
    assert check(again, "activations").found == "dead units in act2 (75%)"


def test_a_head_that_is_sure_of_itself_before_it_has_learnt(tmp_path: Path) -> None:
    subject = make_subject(tmp_path)
    with torch.no_grad():
        subject.setup.net.get_submodule("fc").weight.mul_(100)  # type: ignore[operator]
    result = check(subject, "initial_loss")
    assert result.failed
    assert result.numbers["expected"] == pytest.approx(np.log(10))


def test_penalties_that_are_increased_cost_more(tmp_path: Path) -> None:
    weak, strong = (
        check(make_subject(tmp_path, {"finetune.l2": l2, "finetune.weight_decay": 0.0}), "regularisation")
        for l2 in (1e-3, 1e-2)
    )
    assert weak.numbers["penalty_increased"] == pytest.approx(10 * weak.numbers["penalty"])
    assert strong.numbers["penalty"] == pytest.approx(weak.numbers["penalty_increased"])


def test_equal_images_cannot_be_memorised(tmp_path: Path) -> None:
    train = digits().train
    same = replace(digits(), train=Split(train.images[:1] * len(train), train.targets, train.strata))
    result = check(make_subject(tmp_path, splits=same), "overfit")
    assert result.failed
    assert result.numbers["accuracy"] <= 0.2


def test_checks_do_not_change_the_run(tmp_path: Path) -> None:
    subject = make_subject(tmp_path)
    net = subject.setup.net.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(3)
    drawn = torch.rand(4)
    torch.manual_seed(3)
    list(run_checks(subject))
    assert torch.equal(torch.rand(4), drawn)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())
    assert not net.training
