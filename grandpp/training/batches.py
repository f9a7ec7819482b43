"""Group runs into batches, and run one batch after the other."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch_geometric.data import Data

from grandpp.training.batch import check_batch, record_batch
from grandpp.training.loggers import Logger
from grandpp.training.options import option, positive_int
from grandpp.training.progress import Progress
from grandpp.training.record_file import RecordFile
from grandpp.training.records import Record
from grandpp.training.settings import Run
from grandpp.training.threads import Threads

Runs = Sequence[tuple[Run, Data]]


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Batches of runs."""

    batch_splits: int | None = option(
        "train B runs of a model (splits and seeds) as one batch, with fewer calls; the results "
        "are those of single runs up to rounding; for linear GRAND and GRAND++ with the exact "
        "solver, not with --workers; Ctrl-C loses the current batch",
        default=None,
        parse=positive_int,
        metavar="B",
        shown_default="one by one",
    )


def check_batches(runs: Runs) -> None:
    """Refuse runs that cannot be done in batches.

    Raises:
        ValueError: See :func:`grandpp.training.batch.check_batch`; or if nodes to label are chosen,
            which may leave runs with different numbers of classes.
    """
    for run, _ in runs:
        check_batch(run)
        if run.labels_chosen is not None:
            raise ValueError(
                "expected random splits for runs in batches (got labels chosen by "
                f"{run.labels_chosen}): train these without batches"
            )


def plan_batches(runs: Runs, size: int) -> list[list[int]]:
    """Group the runs on one graph that differ in split and seed alone.

    Args:
        runs: Runs with the graph of each.
        size: Most runs in a batch.

    Returns:
        The places of the runs of every batch, in the order of their first ones.
    """
    alike: dict[tuple[str, int], list[int]] = {}
    for place, (run, data) in enumerate(runs):
        alike.setdefault((run.config_hash, id(data)), []).append(place)
    return [
        places[first : first + size]
        for places in alike.values()
        for first in range(0, len(places), size)
    ]


def run_batches(
    runs: Runs,
    size: int,
    device: torch.device,
    file: RecordFile,
    bar: Progress,
    on_record: Callable[[Record], None],
    threads: Threads | None = None,
    logger: Logger | None = None,
) -> None:
    """Do one batch after the other; write its records when it ends.

    Args:
        runs: Runs with the graph of each.
        size: Most runs in a batch.
        device: Where to run.
        file: Where records go; runs that are in it by now are left out.
        bar: Shows the epochs of all runs.
        on_record: Called with each record.
        threads: Threads of a batch. (default: ``None``, those that torch has)
        logger: Follows every run. (default: ``None``)
    """
    epochs = np.zeros(len(runs), dtype=np.int64)
    waiting = plan_batches(runs, size)
    while waiting:
        batch = waiting.pop(0)
        file.refresh()
        left = [place for place in batch if runs[place][0].key not in file.records]

        def on_epoch(which: int, left: list[int] = left) -> None:
            epochs[left[which]] += 1
            bar.show(epochs)

        alone = True
        if left:
            batched = [runs[place][0] for place in left]
            bar.start(batched[0])
            data = runs[left[0]][1]
            with threads.limit(batched[0], data, len(left)) if threads else nullcontext():
                records = record_batch(batched, data, device, on_epoch, logger)
            added = [file.add(record) for record in records]
            alone = all(added)
        if not alone:
            # Another command is doing the same runs in the same order: change the order here.
            random.shuffle(waiting)
        for place in batch:
            record = file.records[runs[place][0].key]
            on_record(record)
            bar.finish(place, record)
        bar.show(epochs)
