"""The number of parallel runs and of threads for each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from joblib import cpu_count
from threadpoolctl import threadpool_limits
from torch_geometric.data import Data

from grandpp.training.settings import Run

Runs = Sequence[tuple[Run, Data]]

LARGE = 2_000_000
"""Nodes times hidden channels from which a single run takes several threads.

Measured with GRAND-l on 2 cores: beside two busy loops an epoch on two threads takes 29 times as
long as on one on Cora (0.2 million), 2.4 times on 20,000 nodes with 80 channels (1.6 million) and
1.2 times on PubMed (2.5 million); on idle cores two threads save 15 to 35 % on each of them.
"""

# A worker process imports torch before its first run, which takes about as long as this much work.
_SECONDS_PER_WORKER = 5.0
_PROCESS_BYTES = 2**29
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Threads:
    """Threads of torch and of the BLAS libraries in a run, by the size of its graph.

    They depend on the run and on the plan, not on the number of workers: the last bits of a sum
    depend on the number of threads, and records must not depend on the workers.

    Args:
        small: Threads on a small graph, where two threads wait for each other longer than they
            compute, most of all beside other programs.
        large: Threads on a graph of at least :data:`LARGE` nodes times hidden channels.
    """

    small: int
    large: int

    def of(self, run: Run, data: Data, copies: int = 1) -> int:
        """Threads of a run, or of a batch of ``copies`` runs."""
        size = copies * int(data.num_nodes or 0) * run.settings.cost().channels
        return self.large if size >= LARGE else self.small

    @contextmanager
    def limit(self, run: Run, data: Data, copies: int = 1) -> Iterator[None]:
        """Hold torch and BLAS to the threads of a run; afterwards they have theirs back."""
        before, number = torch.get_num_threads(), self.of(run, data, copies)
        torch.set_num_threads(number)
        try:
            with threadpool_limits(number, user_api="blas"):
                yield
        finally:
            torch.set_num_threads(before)


ONE_THREAD = Threads(1, 1)


def threads_per_run(runs: Runs, threads: int | None = None) -> Threads:
    """Return the threads of each run: one, and on a large graph all cores that other runs leave.

    Args:
        runs: All runs that are to be done, with the graph of each.
        threads: The same number for all of them. (default: ``None``, this rule)
    """
    if threads is not None:
        return Threads(threads, threads)
    at_once = max(1, min(len(runs), cpu_count(), _runs_in_memory(runs)))
    return Threads(1, max(1, min(cpu_count() // at_once, torch.get_num_threads())))


def auto_workers(runs: Runs, threads: Threads) -> int:
    """Runs to do at once on the CPU: as many as cores and memory allow and as pays.

    A process starts in a few seconds, so little work is done in this process.

    Args:
        runs: All runs that are to be done, with the graph of each.
        threads: Threads of each run.
    """
    most = max((threads.of(*run) for run in runs), default=1)
    worth = int(sum(rough_seconds(*run) for run in runs) / _SECONDS_PER_WORKER)
    return max(1, min(len(runs), cpu_count() // most, _runs_in_memory(runs), worth))


def rough_seconds(run: Run, data: Data) -> float:
    """Estimate the duration of a run on one thread, within a factor of about three."""
    cost = run.settings.cost()
    work = _entries(run, data) * min(cost.depth, 64) * cost.work
    return max(run.settings.epochs, 1) * (2e-3 + 1.5e-9 * work)


def rough_bytes(run: Run, data: Data) -> float:
    """Estimate the peak memory of a process that does a run, rather too high than too low."""
    return _PROCESS_BYTES + 4 * run.settings.cost().arrays * _entries(run, data)


def _entries(run: Run, data: Data) -> int:
    """Nodes and edges times hidden channels."""
    return (int(data.num_nodes or 0) + int(data.num_edges)) * run.settings.cost().channels


def _runs_in_memory(runs: Runs) -> int:
    """How many of the largest run fit into the memory of this machine or container."""
    total = _total_memory()
    need = max((rough_bytes(*run) for run in runs), default=0.0)
    return len(runs) if total is None or not need else max(1, int(total / need))


def _total_memory() -> int | None:
    """Bytes of memory; ``None`` where the system does not report it."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return None
    try:
        return min(total, int(_CONTAINER.read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return total
