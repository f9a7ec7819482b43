"""The ranks of a job: joining it, errors that all report alike, local processes, leaving."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous
from tqdm import tqdm

from grandpp.distributed.exchange import communicating

_GLANCE = 0.1
_GRACE = 20.0  # seconds that ranks have to end by themselves after one has


@dataclass(frozen=True)
class Job:
    """This process as a rank of a job.

    Args:
        rank: Its number.
        size: Number of ranks.
    """

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        """Whether this rank writes files and talks to the user."""
        return self.rank == 0


def is_rank() -> bool:
    """Whether a launcher, torchrun for example, started this process as a rank."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


@contextmanager
def joined(timeout: float) -> Iterator[Job]:
    """Join the job that the environment describes, as torchrun sets it; alone without one.

    Args:
        timeout: Seconds after which a rank that does not answer counts as lost.

    Raises:
        LostRankError: If the ranks do not meet.
    """
    if not is_rank():
        yield Job(0, 1)
        return
    wait = timedelta(seconds=timeout)
    with communicating():
        store, rank, size = next(rendezvous("env://", timeout=wait))
        # torchrun keeps its store when it starts ranks again: those must not meet the old ones.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        own = dist.PrefixStore(f"attempt-{attempt}", store)
        dist.init_process_group("gloo", store=own, rank=rank, world_size=size, timeout=wait)
    yield Job(dist.get_rank(), dist.get_world_size())
    # Not after an error: the backend would wait for a rank that is gone.
    dist.destroy_process_group()


def first_error(message: str, job: Job) -> str:
    """The message of the first rank that has one, in all ranks; empty if none has.

    Args:
        message: What is wrong in this rank; empty if nothing is.
        job: The job.
    """
    if job.size == 1:
        return message
    lengths = torch.zeros(job.size, dtype=torch.int64)
    lengths[job.rank] = len(message.encode())
    with communicating():
        dist.all_reduce(lengths)
    if not bool(lengths.any()):
        return ""
    first = int(lengths.nonzero()[0])
    return broadcast(message.encode() if job.rank == first else b"", job, first).decode()


def broadcast(content: bytes, job: Job, source: int = 0) -> bytes:
    """Bytes of one rank in all ranks."""
    if job.size == 1:
        return content
    length = torch.tensor(len(content))
    with communicating():
        dist.broadcast(length, source)
    buffer = torch.zeros(int(length), dtype=torch.uint8)
    if job.rank == source and content:
        buffer.copy_(torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy()))
    with communicating():
        dist.broadcast(buffer, source)
    return buffer.numpy().tobytes()


def leave(code: int) -> NoReturn:
    """End this rank at once, without the destructors of a backend that has lost another rank.

    They wait for it, or abort the process: the exit code would be that of a crash.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_ranks(target: Callable[..., int], arguments: tuple[Any, ...], count: int) -> int:
    """Call a function in several new processes of this machine, as the ranks of a job.

    Args:
        target: Returns an exit code; a function of a module.
        arguments: Its arguments.
        count: Number of ranks, which share the threads of this process.

    Returns:
        0 if all succeed, else the exit code of the first rank that does not; where one was killed
        or does not end after another has, all are ended.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = max(1, torch.get_num_threads() // count)
    context, ranks = multiprocessing.get_context("spawn"), []
    try:
        for rank in range(count):
            environment = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(count),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
            process = context.Process(
                target=_start, args=(target, arguments, environment, threads), daemon=True
            )
            # A rank interrupted while it starts would print where it was: this process ends them.
            with _ignoring_interrupts():
                process.start()
            ranks.append(process)
        return _wait(ranks)
    finally:
        for process in ranks:  # all at once: one that is left would say that it lost the others
            if process.is_alive():
                process.kill()
        for process in ranks:
            process.join()


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Let processes that are started inside ignore Ctrl-C, as they inherit it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start(
    target: Callable[..., int],
    arguments: tuple[Any, ...],
    environment: Mapping[str, str],
    threads: int,
) -> None:
    os.environ.update(environment)
    # No other process writes to the bar of this one. A lock between processes, the default of tqdm,
    # is a semaphore that nobody removes, and Python then warns of, where this process is killed.
    tqdm.set_lock(threading.RLock())
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        sys.exit(target(*arguments))
    except KeyboardInterrupt:
        sys.exit(130)


def _end_with_parent() -> None:
    """End this process once the one that started it has ended, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _wait(ranks: Sequence[BaseProcess]) -> int:
    failed, since = 0, 0.0
    while True:
        codes = [process.exitcode for process in ranks]
        if failed == 0:
            failed = next((code for code in codes if code), 0)
            since = time.monotonic()
        if None not in codes or (failed and time.monotonic() - since > _GRACE):
            return 128 - failed if failed < 0 else failed
        time.sleep(_GLANCE)
