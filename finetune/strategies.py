"""The strategies: one declaration for each way to reach a trained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zoo.errors import GraftError

StagePaths = Sequence[tuple[str, ...]]
"""For each stage, from the input to the top, the paths of the modules that hold its weights."""
Trains = Callable[[str, StagePaths, int], tuple[str, ...]]
GRADIENT = "gradient"


@dataclass(frozen=True)
class Strategy:
    """One way to reach a trained network.

    `trains(head, stages, depth)` returns the module paths that learn; `""` is the whole network. `fitter`
    names a function registered in finetune/fit. `cost` orders the strategies: where two are about equally
    good, the one with the lower cost is chosen. `steps` and `learning_rate` (the highest rate of SGD for
    batches of 64) are the defaults of training by gradient. `outside_race` says why the strategy takes no
    part in the race; it is empty where it does.
    """

    name: str
    description: str
    trains: Trains
    cost: float
    fitter: str = GRADIENT
    steps: int = 300
    learning_rate: float = 0.1
    pretrained: bool = True
    """Whether it needs pretrained weights."""
    uses_depth: bool = False
    """Whether it trains `depth` stages: `finetune.partial.stages`, or what was measured."""
    linear_head: bool = False
    """Whether the network's head has to be a linear layer."""
    outside_race: str = ""

    @property
    def probe(self) -> bool:
        """Whether a linear classifier is fitted on frozen features; else the strategy trains by gradient."""
        return self.fitter != GRADIENT

    @property
    def fine_tunes(self) -> bool:
        """Whether pretrained weights are trained by gradient."""
        return self.pretrained and not self.probe


STRATEGIES: dict[str, Strategy] = {}


def register_strategy(strategy: Strategy) -> Strategy:
    """Add a strategy under its name. STRATEGIES stays ordered by cost."""
    assert strategy.name not in STRATEGIES, f"two strategies are called {strategy.name}"
    STRATEGIES[strategy.name] = strategy
    ordered = sorted(STRATEGIES.values(), key=lambda each: each.cost)
    STRATEGIES.clear()
    STRATEGIES.update((each.name, each) for each in ordered)
    return strategy


def strategy_names() -> tuple[str, ...]:
    """Return the names of all strategies, the cheapest first."""
    return tuple(STRATEGIES)


def racing_names() -> tuple[str, ...]:
    """Return the names of the strategies that take part in the race, the cheapest first."""
    return tuple(name for name, strategy in STRATEGIES.items() if not strategy.outside_race)


def find_strategy(name: str) -> Strategy:
    """Return the strategy of that name.

    Raises: GraftError when there is none.
    """
    if name not in STRATEGIES:
        raise GraftError(f"strategy {name!r} is unknown; expected one of: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def _train_head(head: str, stages: StagePaths, depth: int) -> tuple[str, ...]:
    return (head,)


def _train_top(head: str, stages: StagePaths, depth: int) -> tuple[str, ...]:
    top = stages[max(len(stages) - depth, 0) :]
    return (*(path for paths in top for path in paths), head)


register_strategy(
    Strategy(
        name="linear_probe",
        description="only a new last layer learns, on top of the pretrained network",
        trains=_train_head,
        cost=1,
        fitter="linear_probe",
        linear_head=True,
    )
)
register_strategy(
    Strategy(
        name="stage_probe",
        description="only a new last layer learns, on several depths of the pretrained network",
        trains=_train_head,
        cost=2,
        fitter="stage_probe",
    )
)
register_strategy(
    Strategy(
        name="partial",
        description="the last layers of the pretrained network learn, the others stay as they are",
        trains=_train_top,
        cost=3,
        uses_depth=True,
    )
)
register_strategy(
    Strategy(
        name="full",
        description="all layers of the pretrained network learn",
        trains=lambda head, stages, depth: ("",),
        cost=4,
    )
)
register_strategy(
    Strategy(
        name="scratch",
        description="all layers learn, from random weights",
        trains=lambda head, stages, depth: ("",),
        cost=5,
        steps=400,
        pretrained=False,
        outside_race="a short run does not show how good it becomes, and in the benchmark it was never "
        "clearly better than full",
    )
)
