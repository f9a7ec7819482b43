"""Pools of workers that do runs: this process, or processes of this machine."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from joblib.externals.loky import ProcessPoolExecutor
from numpy.typing import NDArray
from torch_geometric.data import Data

from grandpp.training.loggers import Logger
from grandpp.training.loop import record_run
from grandpp.training.options import option, positive_int
from grandpp.training.records import Record
from grandpp.training.settings import Run
from grandpp.training.threads import ONE_THREAD, Threads
from grandpp.training.worker import StoredGraphs, run_cached, start_worker

BACKENDS: tuple[str, ...] = ("loky", "dask", "ray")

# Read by the libraries when a worker process loads them; a run then takes the threads it is given.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def worker_count(text: str) -> int | None:
    """Parse a number of workers, ``None`` for ``auto``, for ``parse=``."""
    if text == "auto":
        return None
    try:
        return positive_int(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected a positive integer or auto (got '{text}')"
        ) from None


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Parallel runs."""

    workers: int | None = option(
        "number of runs at once on the CPU, each in its own process; it does not change results; "
        "1: run in this process; auto: one per core, fewer if memory is short or there is too "
        "little work for more processes; 1 on a GPU; all workers on a cluster",
        default=None,
        parse=worker_count,
        metavar="N",
        shown_default="auto",
    )
    threads: int | None = option(
        "threads of each run on the CPU",
        default=None,
        parse=positive_int,
        metavar="N",
        shown_default="1, which is fastest on small graphs; on a large graph, from two million "
        "nodes times hidden channels on, the cores that no other run uses",
    )
    backend: str = option(
        "where the workers are: on this machine (loky) or on a cluster (dask, ray)",
        default="loky",
        choices=BACKENDS,
    )
    scheduler: str | None = option(
        "address of the cluster, such as tcp://node1:8786", default=None, metavar="ADDRESS"
    )

    def pool(self) -> dict[str, Any]:
        """These options, as arguments of :func:`grandpp.training.run_sweep`."""
        return {f.name: getattr(self, f.name) for f in fields(WorkerOptions)}


class WorkerError(RuntimeError):
    """Worker processes were lost, with the runs in progress."""


class Pool(Protocol):
    """Executor of runs.

    Attributes:
        workers: Runs at once.
        lost: Exceptions of a future whose worker is gone.
        epochs: Epochs of every run so far; stays 0 where the epochs of a worker cannot be seen.
    """

    workers: int
    lost: tuple[type[BaseException], ...]
    epochs: NDArray[np.int64]

    def submit(self, slot: int, which: int, run: Run) -> Future[Record]:
        """Begin the run of a slot, on one of the graphs."""


class InProcess(AbstractContextManager["InProcess"]):
    """One run after the other, in this process.

    Args:
        graphs: The graphs.
        runs: Number of runs.
        device: Where to run.
        on_epoch: Called after every epoch, with the epochs of all runs.
        threads: Threads of each run. (default: ``None``, those that torch has)
        logger: Follows every run. (default: ``None``)
    """

    workers = 1
    lost: tuple[type[BaseException], ...] = ()

    def __init__(
        self,
        graphs: Sequence[Data],
        runs: int,
        device: torch.device,
        on_epoch: Callable[[NDArray[np.int64]], object],
        threads: Threads | None = None,
        logger: Logger | None = None,
    ) -> None:
        self.epochs: NDArray[np.int64] = np.zeros(runs, dtype=np.int64)
        self._graphs, self._device, self._on_epoch = graphs, device, on_epoch
        self._threads, self._logger = threads, logger

    def __exit__(self, *exception: object) -> None:
        return None

    def submit(self, slot: int, which: int, run: Run) -> Future[Record]:
        """Do the run."""

        def on_epoch() -> None:
            self.epochs[slot] += 1
            self._on_epoch(self.epochs)

        future: Future[Record] = Future()
        data, threads = self._graphs[which], self._threads
        with threads.limit(run, data) if threads else nullcontext():
            future.set_result(record_run(run, data, self._device, on_epoch, self._logger))
        return future


class Processes(AbstractContextManager["Processes"]):
    """Processes of this machine, by loky, the executor of joblib.

    The graphs are stored once, in a temporary folder, and mapped by every process; the folder
    stays behind if this process and all of the pool are killed at once. A process that dies
    breaks the pool, because the locks that it held are not known.

    Args:
        graphs: The graphs.
        runs: Number of runs.
        workers: Number of processes.
        threads: Threads of each run. (default: one)
        logger: Follows every run. (default: ``None``)
    """

    lost: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(
        self,
        graphs: Sequence[Data],
        runs: int,
        workers: int,
        threads: Threads = ONE_THREAD,
        logger: Logger | None = None,
    ) -> None:
        self.workers, self._threads, self._sweep = workers, threads, uuid.uuid4().hex
        self._logger = logger
        self._folder = tempfile.TemporaryDirectory(prefix="grandpp-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        StoredGraphs(folder).store(graphs)
        self.epochs: NDArray[np.int64] = np.memmap(
            folder / "epochs", dtype=np.int64, mode="w+", shape=(runs,)
        )
        self._executor = ProcessPoolExecutor(
            workers,
            timeout=60,
            initializer=start_worker,
            initargs=(self._sweep, folder, os.getpid()),
            env=dict.fromkeys(_THREAD_VARIABLES, "1"),
        )

    def __exit__(self, *exception: object) -> None:
        with quiet_manager():
            self._executor.shutdown(wait=True, kill_workers=True)
        self._folder.cleanup()

    def submit(self, slot: int, which: int, run: Run) -> Future[Record]:
        """Hand the run to the next free process."""
        try:
            with _deaf_to_interrupts():
                return self._executor.submit(
                    run_cached, self._sweep, which, run, slot, self._threads, self._logger
                )
        except BrokenProcessPool as error:
            future: Future[Record] = Future()
            future.set_exception(error)
            return future


@contextmanager
def quiet_manager() -> Iterator[None]:
    """Print nothing where loky's managing thread trips over processes that are killed under it."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if args.thread is None or args.thread.name != "ExecutorManagerThread":
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let processes started inside ignore Ctrl-C, which the terminal sends to all of them.

    They inherit the mask for good and end when this process ends them; without it each of them
    would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Starting it lifts the mask; it would be started along with the first process.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
