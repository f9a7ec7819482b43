"""Do many runs, in parallel and resumably, and append their records."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

import torch
from torch_geometric.data import Data

from grandpp.training.batches import check_batches, run_batches
from grandpp.training.interrupts import Interrupts
from grandpp.training.loggers import Logger
from grandpp.training.pools import BACKENDS, InProcess, Pool, Processes, WorkerError
from grandpp.training.progress import Progress
from grandpp.training.record_file import RecordFile
from grandpp.training.records import RUN_RECORDS, Record
from grandpp.training.remote_pools import Dask, Ray
from grandpp.training.rewired import rewire_once
from grandpp.training.settings import Run
from grandpp.training.threads import Threads, auto_workers, threads_per_run

Runs = Sequence[tuple[Run, Data]]


def run_sweep(
    runs: Runs,
    device: torch.device,
    on_record: Callable[[Record], None],
    *,
    out: Path | None = None,
    progress: bool = True,
    workers: int | None = None,
    threads: int | None = None,
    backend: str = "loky",
    scheduler: str | None = None,
    batch_splits: int | None = None,
    logger: Logger | None = None,
) -> None:
    """Do the runs that are not in a file of records yet, and report every record.

    Args:
        runs: Runs with the graph of each. A graph without masks is split by its
            settings where the run is done, so that a hundred splits are one graph in memory.
        device: Where to run.
        on_record: Called with each record, those found in the file first.
        out: File to append to; created with the first record. Several commands may share it:
            each skips what another one has finished, and no run enters the file twice.
            (default: ``None``)
        progress: Show a bar with the running mean of every model. (default: ``True``)
        workers: Runs at once, each in a process of its own; 1 for this process. The results do
            not depend on it. (default: ``None``, one per core that this process may use, fewer
            where memory is short, and 1 where there is less to do than processes need to start,
            on a GPU and for batches; all workers of a cluster)
        threads: Threads of each run on the CPU. (default: ``None``: one; on a graph with at least
            :data:`grandpp.training.threads.LARGE` nodes times hidden channels the cores that
            the other runs leave idle, all of them for a single run). The last bits of a result
            can depend on it.
        backend: Where the workers are: ``"loky"``, this machine; ``"dask"`` or ``"ray"``, a
            cluster. (default: ``"loky"``)
        scheduler: Address of the cluster. (default: ``None``)
        batch_splits: Runs of a model, which differ in split and seed alone, that are trained at
            once in this process, see :func:`grandpp.training.batch.train_batch`; a batch's
            records are written when it ends. (default: ``None``, one run after the other)
        logger: Follows every run that is done, in the process that does it; runs that the file
            holds are not followed. (default: ``None``)

    Raises:
        ValueError: If ``out`` holds something else than records, its folder does not exist,
            several workers are to share a GPU, a backend is unknown or not
            installed, a graph cannot be rewired as a run needs, or a model cannot be
            trained in batches.
        OSError: If the cluster does not answer, or a record cannot be written.
        WorkerError: If a worker process died; the runs that were finished are kept.
    """
    _check(device, workers, threads, backend, batch_splits)
    if batch_splits is not None:
        check_batches(runs)
    file = RecordFile(out, RUN_RECORDS)
    todo = []
    for run, data in runs:
        if run.key in file.records:
            on_record(file.records[run.key])
        else:
            todo.append((run, data))
    if not todo:
        return
    todo = rewire_once(todo, progress=progress)
    left = [run for run, _ in todo]
    # On a GPU the threads of the CPU have little to do: they stay as they are.
    limits = None
    if device.type == "cpu":
        limits = threads_per_run(todo[:1] if batch_splits else todo, threads)
    if batch_splits is not None:
        with Progress(left, progress) as bar:
            run_batches(todo, batch_splits, device, file, bar, on_record, limits, logger)
        return
    graphs = list({id(data): data for _, data in todo}.values())
    which = {id(data): n for n, data in enumerate(graphs)}
    numbered = [(run, which[id(data)]) for run, data in todo]
    with (
        Progress(left, progress) as bar,
        _open(graphs, todo, device, bar, limits, workers, backend, scheduler, logger) as pool,
        Interrupts() as interrupts,
    ):
        _drive(numbered, pool, file, bar, on_record, interrupts)


def _check(
    device: torch.device,
    workers: int | None,
    threads: int | None,
    backend: str,
    batch_splits: int | None,
) -> None:
    if backend not in BACKENDS:
        raise ValueError(f"expected a backend of {', '.join(BACKENDS)} (got '{backend}')")
    for name, number in (("workers", workers), ("threads", threads)):
        if number is not None and number < 1:
            raise ValueError(f"expected '{name}' of at least 1 (got {number})")
    several = backend != "loky" or (workers or 1) > 1
    if device.type != "cpu" and several:
        raise ValueError("expected one worker on a GPU, which one run fills "
                         f"(got workers={workers}, backend '{backend}')")  # fmt: skip
    if batch_splits is not None and several:
        raise ValueError("expected one worker for runs in batches, which share one process "
                         f"(got workers={workers}, backend '{backend}')")  # fmt: skip
    if batch_splits is not None and batch_splits < 1:
        raise ValueError(f"expected batches of at least one run (got {batch_splits})")


def _open(
    graphs: Sequence[Data],
    todo: Runs,
    device: torch.device,
    bar: Progress,
    threads: Threads | None,
    workers: int | None,
    backend: str,
    scheduler: str | None,
    logger: Logger | None,
) -> InProcess | Processes | Dask | Ray:
    runs = len(todo)
    if threads is None:  # a GPU, which one run fills
        return InProcess(graphs, runs, device, bar.show, logger=logger)
    if backend == "dask":
        return Dask(graphs, runs, workers, scheduler, threads, logger)
    if backend == "ray":
        return Ray(graphs, runs, workers, scheduler, threads, logger)
    needed = auto_workers(todo, threads) if workers is None else min(workers, runs)
    if needed == 1:
        return InProcess(graphs, runs, device, bar.show, threads, logger)
    return Processes(graphs, runs, needed, threads, logger)


def _drive(
    todo: Sequence[tuple[Run, int]],
    pool: Pool,
    file: RecordFile,
    bar: Progress,
    on_record: Callable[[Record], None],
    interrupts: Interrupts,
) -> None:
    """Keep every worker busy until nothing is left; write each record as it comes."""
    waiting = list(range(len(todo)))[::-1]
    pending: dict[Future[Record], int] = {}

    def report(slot: int) -> None:
        record = file.records[todo[slot][0].key]
        on_record(record)
        bar.finish(slot, record)

    while waiting or pending:
        interrupts.check()
        while waiting and len(pending) < pool.workers:
            slot = waiting.pop()
            run, which = todo[slot]
            file.refresh()
            if run.key in file.records:  # another command was here
                report(slot)
            else:
                bar.start(run)
                pending[pool.submit(slot, which, run)] = slot
        done, _ = wait(pending, timeout=_GLANCE, return_when=FIRST_COMPLETED)
        lost = {future for future in done if _is_lost(future, pool)}
        for future in done - lost:
            slot = pending.pop(future)
            if not file.add(future.result()):
                # Another command is doing the same runs in the same order: change the order here.
                random.shuffle(waiting)
            report(slot)
        bar.show(pool.epochs)
        for future in lost:
            raise WorkerError(_last_words(future)) from None


# Seconds between two looks at the epochs of runs that are under way.
_GLANCE = 0.5


def _is_lost(future: Future[Record], pool: Pool) -> bool:
    return future.cancelled() or isinstance(future.exception(), pool.lost)


def _last_words(future: Future[Record]) -> str:
    """Describe how a worker ended, in one line."""
    if future.cancelled():
        return "the workers are gone, or the connection to their cluster is"
    text = " ".join(str(future.exception()).split())
    codes = sorted(set(re.findall(r"\bSIG\w+\(-\d+\)|\bEXIT\(\d+\)", text)))
    what = ", ".join(codes) or text.split(". ")[0]
    hint = "; SIGKILL often means that memory ran out: use fewer workers"
    return f"a worker process died ({what}){hint if 'SIGKILL' in what else ''}"
