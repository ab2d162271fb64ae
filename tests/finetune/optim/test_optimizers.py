"""One and several steps of every optimiser on a quadratic, against the textbook's update rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from timm.optim import get_optimizer_info, list_optimizers

from finetune.optim.groups import param_groups
from finetune.optim.optimizers import OPTIMIZERS, UNSUPPORTED, build_optimizer, set_rates

Vector = NDArray[np.float64]
Points = Iterator[Vector]

CURVATURE = np.array([0.5, 1.0, 3.0])
START = np.array([1.0, -2.0, 0.7])
RATE = 0.1
STEPS = 4
TOLERANCE = 1e-6  # float64; the textbooks put their small constants elsewhere than torch does


def slope(w: Vector) -> Vector:
    """The gradient of ½ Σ curvature · w²."""
    return CURVATURE * w


def train(spec: object, steps: int = STEPS, decay: float = 0.0) -> list[Vector]:
    """The parameters after each step."""
    w = torch.nn.Parameter(torch.from_numpy(START.copy()))
    group = {"params": [w], "lr": RATE, "initial_lr": RATE, "decoupled_decay": decay}
    optimizer = build_optimizer(OPTIMIZERS.read_call(spec), [group])
    points = []
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * torch.from_numpy(CURVATURE) * w**2).sum().backward()
        optimizer.step()
        points.append(w.detach().numpy().copy())
    return points


def descend() -> Points:
    w = START
    while True:
        w = w - RATE * slope(w)
        yield w


def heavy_ball(alpha: float = 0.9) -> Points:
    """Deep Learning book, algorithm 8.2."""
    w, v = START, np.zeros(3)
    while True:
        v = alpha * v - RATE * slope(w)
        w = w + v
        yield w


def nesterov(alpha: float = 0.9) -> Points:
    """Algorithm 8.3; gives the interim point, where the next gradient is taken and torch's parameters are."""
    w, v = START, np.zeros(3)
    while True:
        v = alpha * v - RATE * slope(w + alpha * v)
        w = w + v
        yield w + alpha * v


def adagrad() -> Points:
    """Algorithm 8.4."""
    w, r = START, np.zeros(3)
    while True:
        g = slope(w)
        r = r + g * g
        w = w - RATE / (1e-10 + np.sqrt(r)) * g
        yield w


def rmsprop(rho: float = 0.9) -> Points:
    """Algorithm 8.5."""
    w, r = START, np.zeros(3)
    while True:
        g = slope(w)
        r = rho * r + (1 - rho) * g * g
        w = w - RATE / np.sqrt(1e-16 + r) * g
        yield w


def rmsprop_momentum(rho: float = 0.9, alpha: float = 0.8) -> Points:
    """Algorithm 8.5 with the velocity of algorithm 8.2."""
    w, r, v = START, np.zeros(3), np.zeros(3)
    while True:
        g = slope(w)
        r = rho * r + (1 - rho) * g * g
        v = alpha * v - RATE / np.sqrt(r) * g
        w = w + v
        yield w


def rmsprop_nesterov(rho: float = 0.9, alpha: float = 0.8) -> Points:
    """Algorithm 8.6; gives the interim point, as `nesterov` does."""
    w, r, v = START, np.zeros(3), np.zeros(3)
    while True:
        g = slope(w + alpha * v)
        r = rho * r + (1 - rho) * g * g
        v = alpha * v - RATE / np.sqrt(r) * g
        w = w + v
        yield w + alpha * v


def adam(decay: float = 0.0) -> Points:
    """Algorithm 8.7; with decay, Loshchilov & Hutter 2017, algorithm 2."""
    w, s, r, t = START, np.zeros(3), np.zeros(3), 0
    while True:
        g, t = slope(w), t + 1
        s, r = 0.9 * s + 0.1 * g, 0.999 * r + 0.001 * g * g
        update = (s / (1 - 0.9**t)) / (np.sqrt(r / (1 - 0.999**t)) + 1e-8)
        w = w - RATE * update - RATE * decay * w
        yield w


def lion() -> Points:
    """Chen et al. 2023, arXiv:2302.06675, algorithm 2."""
    w, m = START, np.zeros(3)
    while True:
        g = slope(w)
        w = w - RATE * np.sign(0.9 * m + 0.1 * g)
        m = 0.99 * m + 0.01 * g
        yield w


def name_of(value: object) -> str:
    """The same in every process: no addresses."""
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize(
    ("spec", "textbook"),
    [
        ({"sgd": {"momentum": 0.0}}, descend),
        ({"sgd": {"nesterov": False}}, heavy_ball),
        ("sgd", nesterov),
        ("adagrad", adagrad),
        ("rmsprop", rmsprop),
        ({"rmsprop": {"momentum": 0.8}}, rmsprop_momentum),
        ({"rmsprop": {"momentum": 0.8, "nesterov": True}}, rmsprop_nesterov),
        ({"rmsprop": {"momentum": 0.0, "nesterov": True}}, rmsprop),
        ("adam", adam),
        ("adamw", adam),
        ({"timm": {"name": "lion"}}, lion),
    ],
    ids=name_of,
)
def test_update_is_the_textbooks(spec: object, textbook: Callable[[], Points]) -> None:
    for found, expected in zip(train(spec), textbook(), strict=False):
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_decoupled_decay_shrinks_weights_by_rate_times_decay() -> None:
    [found] = train({"sgd": {"momentum": 0.0}}, steps=1, decay=0.5)
    np.testing.assert_allclose(found, START * (1 - RATE * 0.5) - RATE * slope(START), rtol=0, atol=1e-12)


def test_decoupled_decay_is_adamws() -> None:
    for found, expected in zip(train("adamw", decay=0.5), adam(decay=0.5), strict=False):
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_parameters_without_gradient_do_not_decay() -> None:
    w = torch.nn.Parameter(torch.ones(3))
    group = {"params": [w], "lr": RATE, "initial_lr": RATE, "decoupled_decay": 0.5}
    build_optimizer(OPTIMIZERS.read_call("sgd"), [group]).step()
    assert w.tolist() == [1.0, 1.0, 1.0]


TIMM_NAMES = [
    name
    for name in list_optimizers(exclude_filters=list(UNSUPPORTED))
    if not isinstance(get_optimizer_info(name).opt_class, str)
]


@pytest.mark.parametrize("name", [*TIMM_NAMES, "lookahead_adam"])
def test_every_optimizer_of_timm_moves_weights_downhill(name: str) -> None:
    torch.manual_seed(0)
    net = torch.nn.Linear(4, 3)
    groups = [{"params": list(net.parameters()), "lr": 1e-3, "initial_lr": 1e-3, "decoupled_decay": 0.0}]
    optimizer = build_optimizer(OPTIMIZERS.read_call({"timm": {"name": name}}), groups)
    inputs, targets = torch.randn(16, 4), torch.randn(16, 3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (net(inputs) - targets).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", [*TIMM_NAMES, "lookahead_sgd", "lookahead_adam"])
def test_every_optimizer_of_timm_decays_weights(name: str) -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    groups = [{"params": [weight], "lr": 0.1, "initial_lr": 0.1, "decoupled_decay": 1.0}]
    optimizer = build_optimizer(OPTIMIZERS.read_call({"timm": {"name": name}}), groups)
    for _ in range(3):
        weight.grad = torch.zeros(2, 2)
        optimizer.step()
    assert torch.all(weight < 0.76)  # 0.9 ** 3, but where an optimiser averages its points


@pytest.mark.parametrize(
    "spec",
    [
        "sgd",
        "adagrad",
        {"rmsprop": {"momentum": 0.9}},
        {"rmsprop": {"momentum": 0.9, "nesterov": True}},
        "adamw",
    ],
    ids=name_of,
)
def test_a_resumed_optimizer_goes_on_as_the_unbroken_one(spec: object, tmp_path: Path) -> None:
    def start(point: torch.Tensor) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        net = torch.nn.Linear(3, 1).double()
        net.weight.data.copy_(point)
        groups = param_groups(net, learning_rate=RATE, weight_decay=0.1)
        return net, build_optimizer(OPTIMIZERS.read_call(spec), groups)

    def step(net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
        weight = net.get_parameter("weight")
        optimizer.zero_grad()
        (torch.from_numpy(CURVATURE) * weight**2).sum().backward()
        optimizer.step()
        return weight.detach().clone()

    net, optimizer = start(torch.from_numpy(START))
    broken = step(net, optimizer)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    expected = [step(net, optimizer) for _ in range(2)]
    net, optimizer = start(broken)
    optimizer.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    assert all(torch.equal(step(net, optimizer), point) for point in expected)


def test_set_rates_multiplies_each_groups_own_rate() -> None:
    weights = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    groups = [{"params": [w], "lr": lr, "initial_lr": lr} for w, lr in zip(weights, (0.1, 0.02), strict=True)]
    optimizer = build_optimizer(OPTIMIZERS.read_call("adam"), groups)
    set_rates(optimizer, 0.5)
    set_rates(optimizer, 0.25, momentum=0.8)
    assert [group["lr"] for group in optimizer.param_groups] == [0.025, 0.005]
    assert [group["betas"] for group in optimizer.param_groups] == [(0.8, 0.999)] * 2


def test_set_rates_cycles_the_momentum_of_sgd() -> None:
    w = torch.nn.Parameter(torch.ones(1))
    optimizer = build_optimizer(OPTIMIZERS.read_call("sgd"), [{"params": [w], "lr": 0.1, "initial_lr": 0.1}])
    set_rates(optimizer, 1.0, momentum=0.85)
    assert optimizer.param_groups[0]["momentum"] == 0.85
