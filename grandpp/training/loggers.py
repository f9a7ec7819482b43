"""Follow runs while they train: what a logger implements, and the option that chooses one.

A logger is any object with the method of :class:`Logger`; for example, one that prints::

    class Printed:
        def begin(self, run):
            return PrintedRun(run)

    class PrintedRun:
        def __init__(self, run):
            self.run = run

        def epoch(self, values):
            print(self.run.model, self.run.split, values.epoch, values.loss, values.val_accuracy)

        def end(self, record):
            print(self.run.model, self.run.split, record and record["val_accuracy"])

    run_sweep(runs, device, on_record, logger=Printed())
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from grandpp.data.files import expand_home
from grandpp.training.options import option
from grandpp.training.record_file import Record
from grandpp.training.settings import Run
from grandpp.training.tensorboard_logger import TensorBoardLogger


@dataclass(frozen=True)
class EpochValues:
    """What an epoch of a run was like.

    Args:
        epoch: Its number from 1; 0 for a model without training by gradient.
        loss: Training loss before the step of the epoch; ``None`` without training.
        val_accuracy: Validation accuracy after it, a fraction; ``None`` without validation nodes.
        nfe_forward: Evaluations of the training forward pass; ``None`` without a solver.
        nfe_backward: Vector-Jacobian products of the backward pass; ``None`` without a solver.
        seconds: Time of training and evaluation; in a batch, its share of the batch's time.
    """

    epoch: int
    loss: float | None
    val_accuracy: float | None
    nfe_forward: int | None
    nfe_backward: int | None
    seconds: float


class RunLog(Protocol):
    """Follows one run."""

    def epoch(self, values: EpochValues) -> None:
        """Take the values of an epoch, after its evaluation."""

    def end(self, record: Record | None) -> None:
        """Take the record of the run; ``None`` if it was interrupted or raised an error."""


class Logger(Protocol):
    """Follows runs; worker processes get a pickled copy."""

    def begin(self, run: Run) -> RunLog:
        """Begin to follow a run, which knows its hyperparameters: ``run.choices()``."""


@dataclass
class RunLogs:
    """The logs of runs that are trained together, and their records once there are any.

    Args:
        logs: A log per run; ``None`` without a logger.
        records: A record per run, or nothing yet.
    """

    logs: Sequence[RunLog | None]
    records: Sequence[Record] = field(default_factory=list)


@contextmanager
def followed(logger: Logger | None, runs: Sequence[Run]) -> Iterator[RunLogs]:
    """Begin a log for every run, and end it whatever happens.

    Args:
        logger: The logger. (``None``: nothing is done)
        runs: Runs.

    Yields:
        The logs; its ``records`` are to be set when the runs have ended.
    """
    found = RunLogs([None if logger is None else logger.begin(run) for run in runs])
    try:
        yield found
    finally:
        records: Sequence[Record | None] = found.records or [None] * len(runs)
        for log, record in zip(found.logs, records, strict=True):
            if log is not None:
                log.end(record)


LOGGERS: dict[str, type[TensorBoardLogger]] = {"tensorboard": TensorBoardLogger}
"""Loggers by the names that ``--log`` takes; each is made from what follows the colon."""


def parse_logger(text: str) -> Logger:
    """Parse ``NAME:DIR``, for ``parse=``."""
    name, _, folder = text.partition(":")
    if name not in LOGGERS or not folder:
        forms = ", ".join(f"{known}:DIR" for known in LOGGERS)
        raise argparse.ArgumentTypeError(f"expected {forms} (got '{text}')")
    try:
        return LOGGERS[name](expand_home(folder))
    except (ImportError, OSError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """Logging."""

    log: Logger | None = option(
        "log every run while it trains: tensorboard:DIR writes loss, validation accuracy, "
        "evaluations and seconds of every epoch, and the settings and results of the run, to a "
        "folder per run below DIR (pip install 'grandpp[log]')",
        default=None,
        parse=parse_logger,
        metavar="tensorboard:DIR",
        shown_default="no log",
    )
