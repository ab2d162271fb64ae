"""The frozen lower part: that the part above it answers as the whole does, and where there is no such cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from finetune.features.frozen_stages import FrozenStages, find_frozen_stages
from finetune.optim.freeze import covers, freeze, set_training
from finetune.runtime.precision import EXACT, Precision
from finetune.strategies import find_strategy

pytestmark = pytest.mark.usefixtures("seeded")

SMALL = {"input.height": 64, "input.width": 64, "classes": 5}
CATALOGUED = "name: known\nclasses: 5\ninput: {{height: 64, width: 64}}\nmodel: {{{model}}}\n"


def with_top_stage(spec: zoo.Spec, depth: int = 1) -> tuple[nn.Module, zoo.Anatomy]:
    """The network with its head and that many stages left to learn."""
    net = zoo.build(spec)
    anatomy = zoo.anatomy(spec, net)
    parts = list(zoo.stage_parts(net, anatomy).values())
    freeze(net, find_strategy("partial").trains(anatomy.head, parts, depth))
    return net, anatomy


def images(spec: zoo.Spec, count: int = 4) -> Tensor:
    return torch.randn(count, spec.input.channels, spec.input.height, spec.input.width)


def find(
    net: nn.Module, stages: tuple[str, ...], inputs: Tensor, precision: Precision = EXACT
) -> FrozenStages:
    lower = find_frozen_stages(net, stages, inputs, precision)
    assert lower is not None
    return lower


def check_cut(net: nn.Module, lower: FrozenStages, inputs: Tensor) -> None:
    """In training the upper part alone gives the whole's answer and gradients, whatever the lower holds."""
    set_training(net)
    answers, gradients = [], []
    below = (lower.boundary, *lower.skipped)
    frozen = [value for name, value in net.named_parameters() if any(covers(path, name) for path in below)]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    outputs = lower.outputs(net, inputs)
    assert outputs.shape == (len(inputs), *lower.shape)
    for whole in (True, False):
        if not whole:
            for value in frozen:
                value.data.fill_(torch.nan)
        torch.manual_seed(1)
        net.zero_grad()
        answer = net(inputs) if whole else lower.run_above(net, outputs)
        answer.square().sum().backward()
        answers.append(answer.detach())
        gradients.append({name: p.grad for name, p in net.named_parameters() if p.grad is not None})
        net.load_state_dict(state)
    torch.testing.assert_close(answers[1], answers[0])
    assert gradients[0]
    torch.testing.assert_close(gradients[1], gradients[0])
    assert frozen
    assert not any("forward" in vars(module) for module in net.modules())


@pytest.mark.parametrize(
    ("name", "depth", "boundary"),
    [
        ("resnet_small", 1, "layer3"),
        ("resnet_small", 3, "layer1"),
        ("lenet5", 1, "pool2"),
        ("lenet5", 2, "pool1"),
        ("densenet121", 1, "features.denseblock3"),
    ],
)
def test_a_declared_network_is_cut_below_what_learns(name: str, depth: int, boundary: str) -> None:
    spec = zoo.read_spec(f"specs/{name}.yaml", {} if name == "lenet5" else SMALL)
    net, anatomy = with_top_stage(spec, depth)
    inputs = images(spec)
    lower = find(net, anatomy.stages, inputs)
    assert lower.boundary == boundary
    check_cut(net, lower, inputs)


@pytest.mark.parametrize(
    ("model", "boundary"),
    [
        ("timm: mobilenetv3_small_050", "blocks.3"),
        ("timm: vit_tiny_patch16_224", "blocks.8"),
        ("torchvision: shufflenet_v2_x0_5", "stage3"),
        ("torchvision: googlenet", "inception4e"),
    ],
)
def test_a_network_of_a_library_is_cut_below_what_learns(model: str, boundary: str, tmp_path: Path) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(CATALOGUED.format(model=model))
    spec = zoo.read_spec(path)
    net, anatomy = with_top_stage(spec)
    inputs = images(spec)
    lower = find(net, anatomy.stages, inputs)
    assert lower.boundary == boundary
    check_cut(net, lower, inputs)


def test_outputs_have_the_type_that_they_pass_in() -> None:
    spec = zoo.read_spec("specs/resnet_small.yaml", SMALL)
    net, anatomy = with_top_stage(spec)
    precision, inputs = Precision(autocast=True, channels_last=True), images(spec)
    lower = find(net, anatomy.stages, inputs, precision)
    assert lower.dtype == torch.bfloat16
    with precision.context("cpu"):
        assert lower.outputs(net, precision.arrange(inputs)).dtype == torch.bfloat16


class Net(nn.Module):
    """Two stages and a head: (N, 3, 8, 8) to (N, 2); what it does between them is for others to say."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.high = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())
        self.top = nn.Conv2d(4, 4, 3)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.answer(self.high(self.low(image)))

    def answer(self, high: Tensor) -> Tensor:
        out: Tensor = self.fc(self.drop(self.top(high)).mean((2, 3)))
        return out


class Crossed(Net):
    """A second value passes the cut above `high`, times a weight that starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.ParameterList([nn.Parameter(torch.zeros(()))])

    def forward(self, image: Tensor) -> Tensor:
        low = self.low(image)
        return self.answer(self.high(low) + self.gain[0] * low[:, :, 1:-1, 1:-1])


class Leaving(nn.Sequential):
    """A stage that leaves its input lying where others find it."""

    def forward(self, image: Tensor) -> Tensor:
        self.seen = image
        out: Tensor = super().forward(image)
        return out


class Remembering(Net):
    """A second value passes all cuts as an attribute, without being given out."""

    def __init__(self) -> None:
        super().__init__()
        self.low = Leaving(*self.low)

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) + self.low.seen.mean((1, 2, 3))[:, None]  # type: ignore[union-attr]


class Dropping(Net):
    """Dropout among frozen layers, which training leaves on since it holds no weights itself."""

    def forward(self, image: Tensor) -> Tensor:
        return self.answer(self.high(self.drop(self.low(image))))


class Batched(Net):
    """A norm without weights among frozen layers: in training it goes by the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, affine=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.answer(self.high(self.norm(self.low(image))))


class Tied(Net):
    """A frozen stage and one that learns share their weights, which are named after the second."""

    def __init__(self) -> None:
        super().__init__()
        high = self.high
        del self.high
        self.high = high
        self.high[0].weight = self.top.weight


class Auxiliary(Net):
    """In training a second answer, from the second stage; or from the first."""

    def __init__(self, *, early: bool) -> None:
        super().__init__()
        self.early, self.aux = early, nn.Linear(4, 2)

    def forward(self, image: Tensor) -> Any:  # noqa: ANN401
        low = self.low(image)
        high = self.high(low)
        answer, seen = self.answer(high), low if self.early else high
        return (answer, self.aux(seen.mean((2, 3)))) if self.training else answer


def cut_of(net: nn.Module, *learning: str) -> str | None:
    freeze(net, learning)
    lower = find_frozen_stages(net, ("low", "high"), torch.randn(3, 3, 8, 8), EXACT)
    return None if lower is None else lower.boundary


def test_the_cut_lies_below_all_that_learns() -> None:
    assert cut_of(Net(), "top", "fc") == "high"
    assert cut_of(Net(), "fc") == "high"
    assert cut_of(Net(), "high", "fc") == "low"
    assert cut_of(Net(), "high.0.bias", "fc") == "low"
    assert cut_of(Net(), "low", "fc") is None
    assert cut_of(Net(), "") is None


def test_a_weight_of_a_module_that_is_not_called_counts_for_the_enclosing_one() -> None:
    assert cut_of(Crossed(), "gain", "fc") is None


def test_a_weight_that_learns_counts_wherever_it_is_used() -> None:
    assert cut_of(Tied(), "top", "fc") == "low"


def test_a_stage_that_something_else_passes_by_is_no_place_to_cut() -> None:
    assert cut_of(Crossed(), "top", "fc") == "low"  # though the gain of what passes is 0 to begin with
    assert cut_of(Remembering(), "top", "fc") is None


def test_stages_that_differ_in_training_are_not_cut_off() -> None:
    assert cut_of(Dropping(), "top", "fc") == "low"
    assert cut_of(Batched(), "top", "fc") == "low"
    assert cut_of(Auxiliary(early=False), "top", "fc", "aux") == "high"
    assert cut_of(Auxiliary(early=True), "top", "fc", "aux") == "low"


def test_a_unet_is_not_cut_since_every_stage_is_read_again() -> None:
    spec = zoo.read_spec("specs/examples/unet.yaml", {"input.height": 32, "input.width": 32})
    net, anatomy = with_top_stage(spec)
    assert find_frozen_stages(net, anatomy.stages, images(spec), EXACT) is None


def test_dropout_above_the_cut_draws_the_same() -> None:
    net, inputs = Net(), torch.randn(4, 3, 8, 8)
    freeze(net, ["top", "fc"])
    check_cut(net, find(net, ("low", "high"), inputs), inputs)


def test_the_search_for_a_cut_changes_nothing() -> None:
    spec = zoo.read_spec("specs/resnet_small.yaml", SMALL)
    net, anatomy = with_top_stage(spec)
    net.eval()
    inputs, state = images(spec), {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.get_rng_state()
    lower = find(net, anatomy.stages, inputs)
    assert torch.equal(torch.get_rng_state(), random)
    net.layer1.train()  # type: ignore[union-attr]
    lower.outputs(net, inputs)
    assert net.layer1.training  # type: ignore[union-attr]
    assert not net.layer2.training  # type: ignore[union-attr]
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_an_instance_s_own_forward_is_restored_after_an_error() -> None:
    net = Net()
    freeze(net, ["top", "fc"])
    lower = find(net, ("low", "high"), torch.randn(3, 3, 8, 8))
    own = net.low.forward
    net.low.forward = own  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        lower.run_above(net, torch.randn(2, 9, 4, 4))  # four channels are wanted
    assert vars(net.low)["forward"] is own
    assert "forward" not in vars(net.high)
