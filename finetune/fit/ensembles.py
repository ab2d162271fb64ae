"""Training an ensemble as one run: snapshots, the best epochs' predictions or weights, or bagging."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from accelerate import Accelerator
from rich.console import Console
from torch import Tensor, nn

import zoo
from finetune.data.dataset import loader
from finetune.data.subset import subset
from finetune.engine.build import build_trainer
from finetune.experiment.setup import Setup
from finetune.fit.callbacks import train
from finetune.fit.keepers import BestKeeper, SnapshotKeeper
from finetune.models.ensemble import State, build_ensemble, draw_bootstrap, make_soup
from finetune.records.files import read_record, read_tensors, remove, write_record
from finetune.records.metrics_log import read_records, write_records
from finetune.records.plan import Plan
from finetune.records.run_folder import DraftFolder, RunFolder
from finetune.records.training import GRADIENT, EnsembleTraining, GradientTraining, Member, SoupTraining
from finetune.runtime.console import details
from finetune.runtime.seeds import derive_seed
from finetune.tasks.evaluate import evaluate
from zoo.errors import GraftError

SEEDS = 2**31
Result = tuple[nn.Module, EnsembleTraining | SoupTraining]
"""A trained network, and how it was trained."""


@dataclass(frozen=True)
class EnsembleRun:
    """The training of an ensemble of `count` members; `start` is the network with its starting weights."""

    setup: Setup
    plan: Plan
    folder: RunFolder
    console: Console
    start: nn.Module
    count: int

    @property
    def members(self) -> Path:
        """Where the members' weights are kept until the run has ended."""
        return DraftFolder(self.folder.path).members

    def score(self, net: nn.Module) -> float:
        """Return the network's validation score, in the precision of training."""
        setup, precision, device = self.setup, self.plan.precision, Accelerator().device
        net, preprocess = net.to(device).eval(), setup.preprocess.to(device)
        precision.arrange_weights(net)

        def forward(images: Tensor) -> Tensor:
            with precision.context(device):
                logits: Tensor = net(precision.arrange(preprocess.normalise(images)))
            return logits

        batches = loader(setup.val, self.plan.batch_size * 2, workers=setup.data.workers)
        return evaluate(forward, batches, setup.task, setup.classes, device).score

    def combine(
        self,
        method: Literal["snapshots", "average", "bagging"],
        paths: Sequence[Path],
        runs: Sequence[GradientTraining],
        origins: Sequence[Mapping[str, int]],
    ) -> Result:
        """Return the members as one network that averages their predictions.

        In: the members' weights, the trainings they come from, and for each member its epoch or step.
        """
        net = build_ensemble(self.start, [read_tensors(path) for path in paths])
        scores = [self.score(member) for member in net.members]
        val_score = self.score(net)
        details(self.console).print(
            f"  {len(paths)} members, val {self.setup.task.score} "
            f"{', '.join(f'{score:.4f}' for score in scores)}; [bold]ensemble {val_score:.4f}[/bold]"
        )
        members = tuple(Member(score, **origin) for score, origin in zip(scores, origins, strict=True))
        return net, EnsembleTraining(method, tuple(runs), members, val_score)


def train_ensemble(setup: Setup, plan: Plan, folder: RunFolder, console: Console) -> Result:
    """Train the ensemble that the spec asks for. Out: one network.

    Raises: GraftError when the run is too short for its snapshots, or training diverges.
    """
    assert setup.settings.ensemble is not None
    method, count = setup.settings.ensemble.chosen
    run = EnsembleRun(setup, plan, folder, console, copy.deepcopy(setup.net), count)
    run.members.mkdir(parents=True, exist_ok=True)
    return METHODS[method](run)


def train_snapshots(run: EnsembleRun) -> Result:
    """Average the predictions of the weights at the ends of the last cosine cycles.

    Patience does not apply: validation stalls after each restart.
    Source: Huang et al. 2017, arXiv:1704.00109.
    """
    spec = zoo.override(run.setup.spec, {"finetune.patience": "none"})
    setup = replace(run.setup, spec=spec)
    trainer = build_trainer(setup, run.plan, DraftFolder(run.folder.path), run.console)
    ends = trainer.step.schedule.cycle_ends()[-run.count :]
    if len({0, *ends}) <= run.count:
        raise GraftError(
            f"finetune.ensemble: {run.count} snapshots in a run of {trainer.step.schedule.steps} steps; "
            "expected at least one step per cycle: more epochs, or smaller batches"
        )
    keeper = SnapshotKeeper(trainer.step, run.members, ends)
    training = train(trainer, keeper).summary()
    return run.combine("snapshots", keeper.paths, [training], [{"step": step} for step in ends])


def train_average(run: EnsembleRun) -> Result:
    """Average the predictions of the epochs with the best validation scores."""
    keeper, training = _train_keeping_best(run)
    paths = [keeper.path(one.epoch) for one in keeper.best]
    return run.combine("average", paths, [training], [{"epoch": one.epoch + 1} for one in keeper.best])


def train_soup(run: EnsembleRun) -> Result:
    """Average the weights of the best epochs, each if the validation score rises by it."""
    keeper, training = _train_keeping_best(run)
    best = keeper.best

    def score(state: State) -> float:
        run.start.load_state_dict(state)
        return run.score(run.start)

    soup = make_soup([read_tensors(keeper.path(one.epoch)) for one in best], score)
    run.start.load_state_dict(soup.state)
    epochs = tuple(best[index].epoch + 1 for index in soup.kept)
    details(run.console).print(
        f"  soup of epochs {', '.join(map(str, epochs))}: val {run.setup.task.score} {soup.score:.4f}"
    )
    return run.start, SoupTraining(training, tuple(one.epoch + 1 for one in best), epochs, soup.score)


def train_bagging(run: EnsembleRun) -> Result:
    """Average the predictions of members that are each trained on a bootstrap sample.

    Each member has a run folder of its own; one that is trained is not trained again.
    Source: Breiman 1996, Bagging predictors.
    """
    folders = [RunFolder(run.members / str(number)) for number in range(1, run.count + 1)]
    for number, folder in enumerate(folders, start=1):
        if not folder.trained.exists():
            details(run.console).print(f"  member {number} of {run.count}")
            folder.path.mkdir(parents=True, exist_ok=True)
            setup = bagging_setup(replace(run.setup, net=run.start), number)
            training = train(build_trainer(setup, run.plan, folder, run.console)).summary()
            write_record(folder.trained, GRADIENT, training)
        remove(folder.checkpoint)
    logs = [[replace(record, member=n) for record in read_records(f.log)] for n, f in enumerate(folders, 1)]
    write_records(run.folder.log, [record for log in logs for record in log])
    trainings = [read_record(folder.trained, GRADIENT) for folder in folders]
    return run.combine("bagging", [folder.weights for folder in folders], trainings, [{}] * run.count)


def bagging_setup(setup: Setup, number: int) -> Setup:
    """Return the setup with a copy of its network, a bootstrap sample of its images and its own seed.

    The checks before training are made for the first member only.
    """
    seed = setup.settings.seed
    own = derive_seed(seed, "bagging", number) % SEEDS
    keys = {"finetune.seed": own} | ({"finetune.checks": "none"} if number > 1 else {})
    rows = draw_bootstrap(len(setup.train), seed=seed, member=number)
    return replace(
        setup,
        spec=zoo.override(setup.spec, keys),
        net=copy.deepcopy(setup.net),
        train=subset(setup.train, rows, seed=own),
    )


METHODS: Mapping[str, Callable[[EnsembleRun], Result]] = {
    "snapshots": train_snapshots,
    "average": train_average,
    "soup": train_soup,
    "bagging": train_bagging,
}


def _train_keeping_best(run: EnsembleRun) -> tuple[BestKeeper, GradientTraining]:
    """Train, and keep the weights of the best epochs, or of all epochs in a run that has no more."""
    trainer = build_trainer(run.setup, run.plan, DraftFolder(run.folder.path), run.console)
    keeper = BestKeeper(trainer.step, run.members, run.folder.log, run.count)
    return keeper, train(trainer, keeper).summary()
