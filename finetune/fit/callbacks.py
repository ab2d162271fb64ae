"""The callbacks of a whole run, and training with them."""

from __future__ import annotations

from dataclasses import replace

from finetune.checks.rates import divergence_error
from finetune.checks.run import StartChecks
from finetune.checks.subject import Subject
from finetune.engine.callbacks import Callback, DivergedError, DivergenceGuard
from finetune.engine.progress import ProgressBar
from finetune.engine.state import TrainState
from finetune.engine.trackers import Trackers
from finetune.engine.trainer import Trainer
from finetune.monitor.diagnosis import Diagnosis
from finetune.monitor.monitor import Monitor
from finetune.monitor.pictures import Pictures


def train(trainer: Trainer, *callbacks: Callback) -> TrainState:
    """Run the trainer with the callbacks of a whole run and these.

    Raises: GraftError with a learning rate to try when the loss diverges.
    """
    setup, plan, device = trainer.setup, trainer.plan, trainer.accelerator.device
    try:
        return replace(trainer, callbacks=(*standard_callbacks(trainer), *callbacks)).run()
    except DivergedError as error:
        where = f"epoch {trainer.state.epoch + 1}, step {trainer.state.step}"
        raise divergence_error(setup, plan, device, where, str(error)) from error


def standard_callbacks(trainer: Trainer) -> list[Callback]:
    """Return the callbacks that the trainer's spec asks for, in the order in which they are called."""
    setup, folder, console, main = (
        trainer.setup,
        trainer.folder,
        trainer.console,
        trainer.accelerator.is_main_process,
    )
    settings, monitor = setup.settings, setup.settings.monitor
    name = f"{setup.spec.name} {folder.path.name}"
    callbacks: list[Callback] = [
        DivergenceGuard(setup.task.chance_loss(len(setup.classes))),
        Trackers(settings.trackers if main else [], folder.path, name, setup.spec.to_yaml()),
        # In every process: a step of several processes waits for all of them.
        StartChecks(Subject(setup, trainer.plan, trainer.accelerator.device), folder, console),
        ProgressBar(console, trainer.plan.epochs),
    ]
    if monitor is not None:
        callbacks.append(Monitor(setup, trainer.step, monitor))
    if monitor is not None and monitor.pictures and main:
        callbacks.append(Pictures(setup, trainer.step, folder.path / "pictures"))
    return [*callbacks, Diagnosis(setup, folder.log, console)]
