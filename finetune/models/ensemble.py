"""One network from several sets of weights, by averaging predictions or weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

State = Mapping[str, Tensor]


class Ensemble(nn.Module):
    """A network that averages the predictions of its members.

    In: (N, C, H, W). Out: (N, classes, …) logits, whose softmax is the mean of the members' probabilities.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean prediction."""
        return average_predictions(torch.stack([member(images) for member in self.members]))


def average_predictions(logits: Tensor) -> Tensor:
    """Average the predictions of several networks, or for several views.

    In: logits (predictions, N, classes, …). Out: (N, classes, …) logits, whose softmax is the mean of the
    predicted probabilities.
    """
    return torch.logsumexp(logits.log_softmax(dim=2), dim=0) - math.log(len(logits))


def build_ensemble(net: nn.Module, states: Sequence[State]) -> Ensemble:
    """Return an ensemble of copies of `net`, each with one of the states."""
    members = [copy.deepcopy(net) for _ in states]
    for member, state in zip(members, states, strict=True):
        member.load_state_dict(state)
    return Ensemble(members)


def average_states(states: Sequence[State]) -> dict[str, Tensor]:
    """Return the element-wise mean of several state dicts; integers are those of the last one."""
    averaged = {}
    for name, last in states[-1].items():
        if last.is_floating_point():
            total = torch.stack([state[name].double() for state in states]).mean(dim=0)
            averaged[name] = total.to(last.dtype)
        else:
            averaged[name] = last.clone()
    return averaged


@dataclass(frozen=True)
class Soup:
    """Averaged weights, the indices of the candidates in them, and their validation score."""

    state: Mapping[str, Tensor]
    kept: tuple[int, ...]
    score: float


def make_soup(states: Sequence[State], evaluate: Callable[[State], float]) -> Soup:
    """Average weights greedily: start with the best, add each further one if the validation score rises.

    In: candidates; `evaluate` returns a state's validation score (higher is better).
    Source: Wortsman et al. 2022, arXiv:2203.05482, recipe 1; here an equal score does not add a candidate.
    """
    scores = [evaluate(state) for state in states]
    order = sorted(range(len(states)), key=lambda index: (-scores[index], index))
    soup = Soup(states[order[0]], (order[0],), scores[order[0]])
    for index in order[1:]:
        kept = (*soup.kept, index)
        state = average_states([states[member] for member in kept])
        score = evaluate(state)
        if score > soup.score:
            soup = Soup(state, kept, score)
    return soup


@dataclass(frozen=True)
class Candidate:
    """An epoch, from 0, whose weights may be kept, and its validation score (higher is better)."""

    epoch: int
    score: float


def keep_best(kept: Sequence[Candidate], new: Candidate, count: int) -> tuple[Candidate, ...]:
    """Return the best `count` candidates, best first; of equals the earlier is better."""
    return tuple(sorted((*kept, new), key=lambda one: (-one.score, one.epoch))[:count])


def draw_bootstrap(images: int, *, seed: int, member: int) -> NDArray[np.int64]:
    """Draw the training images of a bagging member: as many as there are, with replacement.

    Out: indices (images,). Source: Breiman 1996, Bagging predictors.
    """
    generator = np.random.default_rng([seed, member])
    return generator.integers(0, images, size=images, dtype=np.int64)
