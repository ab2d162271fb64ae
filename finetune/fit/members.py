"""Training an ensemble as one run: snapshots, the best epochs' predictions or weights, or bagging."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accelerate import Accelerator
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor, nn

import zoo
from finetune.data.dataset import loader
from finetune.engine.build import build_trainer
from finetune.experiment.setup import Setup
from finetune.fit.bagging import join_logs, train_bag
from finetune.fit.callbacks import train
from finetune.fit.keepers import BestKeeper, SnapshotKeeper
from finetune.models.ensemble import State, build_ensemble, cook_soup
from finetune.records.metrics_log import write_records
from finetune.records.plan import Plan
from finetune.records.run_folder import DraftFolder, RunFolder
from finetune.tasks.evaluate import evaluate
from zoo.errors import GraftError

Result = tuple[nn.Module, dict[str, object]]
"""A trained network, and how its training went."""


@dataclass(frozen=True)
class Order:
    """An ensemble of `count` members to be trained; `plain` is the network with its starting weights."""

    setup: Setup
    plan: Plan
    folder: RunFolder
    console: Console
    plain: nn.Module
    count: int

    @property
    def place(self) -> Path:
        """Where the members' weights lie until they are one network."""
        return DraftFolder(self.folder.path).members


def train_members(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Result:
    """The ensemble that the spec asks for. Members are kept in `members/` until the run has ended.

    A record of training with the key `ensemble` tells `rebuild_net` what network to load the weights into.
    Raises: GraftError when the run is too short for its snapshots, or training breaks down.
    """
    assert setup.settings.ensemble is not None
    kind, count = setup.settings.ensemble.chosen
    order = Order(setup, plan, folder, console, copy.deepcopy(setup.net), count)
    order.place.mkdir(parents=True, exist_ok=True)
    return WAYS[kind](order)


def train_snapshots(order: Order) -> Result:
    """Average the predictions of the weights at the ends of the last cosine cycles.

    All cycles are gone through: validation stalls after each restart, so that patience has no say here.
    Source: Huang et al. 2017, arXiv:1704.00109.
    """
    spec = zoo.override(order.setup.spec, {"finetune.patience": "none"})
    setup = replace(order.setup, spec=spec)
    trainer = build_trainer(setup, order.plan, DraftFolder(order.folder.path), order.console)
    ends = trainer.step.schedule.cycle_ends()[-order.count :]
    if len({0, *ends}) <= order.count:
        raise GraftError(
            f"finetune.ensemble: {order.count} snapshots in a run of {trainer.step.schedule.steps} steps; "
            "expected at least a step for each cycle: more epochs, or smaller batches"
        )
    keeper = SnapshotKeeper(trainer.step, order.place, ends)
    state = train(trainer, keeper)
    return _average(order, "snapshots", keeper.paths, state.summary(), {"at_steps": list(ends)})


def train_average(order: Order) -> Result:
    """Average the predictions of the epochs that did best in validation."""
    keeper, went = _train_keeping_best(order)
    paths = [keeper.path(one.epoch) for one in keeper.best]
    return _average(order, "average", paths, went, {"of_epochs": [one.epoch + 1 for one in keeper.best]})


def train_soup(order: Order) -> Result:
    """Average the weights of the best epochs, each where validation gains by it: one plain network."""
    keeper, went = _train_keeping_best(order)
    best = keeper.best

    def score(state: State) -> float:
        order.plain.load_state_dict(state)
        return score_network(order.plain, order.setup, order.plan)

    soup = cook_soup([load_file(keeper.path(one.epoch)) for one in best], score)
    order.plain.load_state_dict(soup.state)
    name = f"val_{order.setup.task.score}"
    used = [best[index].epoch + 1 for index in soup.kept]
    shown = ", ".join(str(epoch) for epoch in used)
    order.console.print(f"  soup of epochs {shown}: {name.replace('_', ' ')} {soup.score:.4f}")
    record = {"of_epochs": [one.epoch + 1 for one in best], "kept_epochs": used, name: soup.score}
    return order.plain, went | {"soup": record}


def train_bagging(order: Order) -> Result:
    """Average the predictions of members that were each trained on a bootstrap sample.

    Source: Breiman 1996, Bagging predictors.
    """
    bag = replace(order.setup, net=order.plain)
    homes = train_bag(bag, order.plan, order.place, order.count, order.console)
    write_records(order.folder.log, join_logs([home.log for home in homes]))
    epochs = [json.loads(home.trained.read_text())["epochs"] for home in homes]
    return _average(order, "bagging", [home.weights for home in homes], {"epochs": epochs}, {})


WAYS: Mapping[str, Callable[[Order], Result]] = {
    "snapshots": train_snapshots,
    "average": train_average,
    "soup": train_soup,
    "bagging": train_bagging,
}


def score_network(net: nn.Module, setup: Setup, plan: Plan) -> float:
    """The task's score on the validation split, in the precision of training."""
    device = Accelerator().device
    net, preprocess = net.to(device).eval(), setup.preprocess.to(device)

    def forward(images: Tensor) -> Tensor:
        with plan.precision.context(device):
            logits: Tensor = net(plan.precision.arrange(preprocess.normalise(images)))
        return logits

    batches = loader(setup.val, plan.batch_size * 2, workers=setup.data.workers)
    metrics = evaluate(forward, batches, setup.task, len(setup.classes), device)
    return float(metrics[setup.task.score])  # type: ignore[arg-type]


def _train_keeping_best(order: Order) -> tuple[BestKeeper, dict[str, object]]:
    """Train, and keep the weights of the best epochs: all of them in a run that has no more."""
    trainer = build_trainer(order.setup, order.plan, DraftFolder(order.folder.path), order.console)
    keeper = BestKeeper(trainer.step, order.place, order.folder.log, order.count)
    return keeper, train(trainer, keeper).summary()


def _average(
    order: Order, kind: str, paths: Sequence[Path], went: Mapping[str, object], more: Mapping[str, object]
) -> Result:
    """The members as one network, and the record of it with each one's score and that of all together."""
    net = build_ensemble(order.plain, [load_file(path) for path in paths])
    alone = [score_network(member, order.setup, order.plan) for member in net.members]
    together = score_network(net, order.setup, order.plan)
    name = f"val_{order.setup.task.score}"
    shown = ", ".join(f"{score:.4f}" for score in alone)
    order.console.print(
        f"  {len(paths)} members, {name.replace('_', ' ')} {shown}; [bold]together {together:.4f}[/bold]"
    )
    record = {"kind": kind, "size": len(paths), **more, f"members_{name}": alone, name: together}
    return net, {**went, "ensemble": record}
