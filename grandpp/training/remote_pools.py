"""Pools of workers on other machines, by dask or ray; both are optional."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from grandpp.training.loggers import Logger
from grandpp.training.loop import record_run
from grandpp.training.records import Record
from grandpp.training.settings import Run
from grandpp.training.threads import ONE_THREAD, Threads
from grandpp.training.worker import CPU, drop_graphs, keep_graphs, run_cached

PATIENCE = 10.0  # seconds to wait for a scheduler's answer


class Dask(AbstractContextManager["Dask"]):
    """The workers of a dask cluster, which needs grandpp installed on them.

    The graphs reach each worker once, also one that joins later. A run whose worker dies is done
    again by another one; after four deaths the run counts as lost.

    Args:
        graphs: The graphs.
        runs: Number of runs.
        workers: Runs at once; ``None`` for one per thread of the cluster.
        scheduler: Address of the scheduler, for example ``"tcp://node1:8786"``.
        threads: Threads of each run. (default: one)
        logger: Follows every run. (default: ``None``)

    Raises:
        ValueError: If dask is not installed, there is no address, or no worker at it.
        OSError: If the scheduler does not answer.
    """

    def __init__(
        self,
        graphs: Sequence[Data],
        runs: int,
        workers: int | None,
        scheduler: str | None,
        threads: Threads = ONE_THREAD,
        logger: Logger | None = None,
    ) -> None:
        distributed = _library("distributed", "dask", "dask[distributed]")
        if scheduler is None:
            raise ValueError("expected the scheduler's address for the backend dask (got none)")
        self._sweep, self._threads, self._logger = uuid.uuid4().hex, threads, logger
        self.epochs: NDArray[np.int64] = np.zeros(runs, dtype=np.int64)
        self.lost: tuple[type[BaseException], ...] = (CancelledError, distributed.KilledWorker)
        self._client = distributed.Client(scheduler, timeout=PATIENCE, set_as_default=False)
        try:
            self.workers = workers or sum(self._client.ncores().values())
            if not self.workers:
                raise ValueError(f"expected workers at the scheduler {scheduler} (got none)")
            self._client.register_plugin(_dask_plugin(self._sweep, graphs))
        except BaseException:
            self._client.close()
            raise

    def __exit__(self, *exception: object) -> None:
        if self._client.status == "running":
            self._client.unregister_worker_plugin(self._sweep)
        self._client.close()

    def submit(self, slot: int, which: int, run: Run) -> Future[Record]:
        """Hand the run to the scheduler."""
        # Not pure: a second sweep on the same cluster must not be handed the results of this one.
        executor = self._client.get_executor(pure=False)
        return executor.submit(
            run_cached, self._sweep, which, run, slot, self._threads, self._logger
        )


def _dask_plugin(sweep: str, graphs: Sequence[Data]) -> Any:
    from distributed import WorkerPlugin

    class KeepGraphs(WorkerPlugin):
        name = sweep

        def setup(self, worker: object) -> None:
            keep_graphs(sweep, graphs)

        def teardown(self, worker: object) -> None:
            drop_graphs(sweep)

    return KeepGraphs()


class Ray(AbstractContextManager["Ray"]):
    """The workers of a ray cluster, or of one started on this machine for the sweep.

    Args:
        graphs: The graphs.
        runs: Number of runs.
        workers: Runs at once; ``None`` for one per processor of the cluster.
        scheduler: Address of the cluster; ``None`` for this machine.
        threads: Threads of each run. (default: one)
        logger: Follows every run. (default: ``None``)

    Raises:
        ValueError: If ray is not installed.
        OSError: If no cluster answers at the address.
    """

    def __init__(
        self,
        graphs: Sequence[Data],
        runs: int,
        workers: int | None,
        scheduler: str | None,
        threads: Threads = ONE_THREAD,
        logger: Logger | None = None,
    ) -> None:
        self._ray = ray = _library("ray", "ray", "ray")
        self._threads, self._logger = threads, logger
        self.epochs: NDArray[np.int64] = np.zeros(runs, dtype=np.int64)
        self.lost: tuple[type[BaseException], ...] = (CancelledError, ray.exceptions.RayError)
        ray.init(address=scheduler, num_cpus=None if scheduler else workers, logging_level="ERROR",
                 log_to_driver=False, include_dashboard=None if scheduler else False)  # fmt: skip
        self.workers = workers or int(ray.cluster_resources().get("CPU", 1))
        self._graphs = [ray.put(data) for data in graphs]
        self._perform = ray.remote(num_cpus=1)(_perform_on_ray)

    def __exit__(self, *exception: object) -> None:
        self._ray.shutdown()

    def submit(self, slot: int, which: int, run: Run) -> Future[Record]:
        """Hand the run to the cluster."""
        return self._perform.remote(self._graphs[which], run, self._threads, self._logger).future()


def _perform_on_ray(data: Data, run: Run, threads: Threads, logger: Logger | None) -> Record:
    with threads.limit(run, data):
        return record_run(run, data, CPU, logger=logger)


def _library(module: str, backend: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ValueError(
            f"expected the library {module} for the backend {backend} (got none); "
            f"pip install '{package}'"
        ) from None
