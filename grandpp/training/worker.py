"""Do one run in a worker process, with its graphs cached between runs."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data

from grandpp.training.loggers import Logger
from grandpp.training.loop import record_run
from grandpp.training.memory import keep_freed_memory
from grandpp.training.records import Record
from grandpp.training.settings import Run
from grandpp.training.threads import ONE_THREAD, Threads
from grandpp.training.user_errors import keep_user_error

CPU = torch.device("cpu")
# Graphs reach a process once per sweep; a task then only names its sweep and graph.
_graphs: dict[str, Mapping[int, Data]] = {}
_counters: dict[str, np.memmap] = {}
# Seeds are set for the whole process: threads of one process take turns.
_one_run = threading.Lock()


class StoredGraphs(dict[int, Data]):
    """Graphs in a folder, each mapped when first asked for, so that processes share its memory.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def store(self, graphs: Iterable[Data]) -> None:
        """Write the graphs into the folder."""
        for which, data in enumerate(graphs):
            torch.save(data.to_dict(), self.folder / f"{which}.pt")

    def __missing__(self, which: int) -> Data:
        parts = torch.load(self.folder / f"{which}.pt", mmap=True, weights_only=True)
        return self.setdefault(which, Data.from_dict(parts))


def keep_graphs(sweep: str, graphs: Iterable[Data]) -> None:
    """Keep the graphs of a sweep in this process."""
    _graphs[sweep] = dict(enumerate(graphs))
    keep_freed_memory()


def drop_graphs(sweep: str) -> None:
    """Forget the graphs of a sweep."""
    _graphs.pop(sweep, None)


def start_worker(sweep: str, folder: Path, parent: int) -> None:
    """Prepare a process of this machine's pool, once.

    Args:
        sweep: Name of the sweep.
        folder: Folder of its graphs and of ``epochs``, one 64-bit counter per run.
        parent: Process that started it; this process ends with it.
    """
    keep_freed_memory()
    _graphs[sweep] = StoredGraphs(folder)
    _counters[sweep] = np.memmap(folder / "epochs", dtype=np.int64, mode="r+")
    threading.Thread(target=_end_with, args=(parent, folder), daemon=True).start()


def run_cached(
    sweep: str,
    which: int,
    run: Run,
    slot: int,
    threads: Threads = ONE_THREAD,
    logger: Logger | None = None,
) -> Record:
    """A run on one of the graphs that this process keeps.

    Args:
        sweep: Name of the sweep.
        which: Number of the graph.
        run: The run.
        slot: Number of the run, whose epochs are counted where the parent can see it.
        threads: Threads of each run. (default: one)
        logger: Follows the run. (default: ``None``)
    """
    count = _counters.get(sweep)

    def on_epoch() -> None:
        if count is not None:
            count[slot] += 1

    data = _graphs[sweep][which]
    try:
        with _one_run, threads.limit(run, data):
            return record_run(run, data, CPU, on_epoch, logger)
    except Exception as error:
        keep_user_error(error)
        raise


def _end_with(parent: int, folder: Path) -> None:
    """End this process soon after its parent, however that ended, and clear up for it."""
    while os.getppid() == parent:
        time.sleep(1)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
