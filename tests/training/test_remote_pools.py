"""Sweeps on a dask cluster of this machine."""

from __future__ import annotations

import logging

import pytest
import torch

from grandpp.data import load_dataset
from grandpp.studies.low_label import plan_runs
from grandpp.training import record_key, run_sweep

distributed = pytest.importorskip("distributed")

CPU = torch.device("cpu")


def strip(record):
    loose = ("seconds", "peak_memory_mb")
    return {k: v for k, v in record.items() if k not in loose}


def test_a_cluster_writes_the_records_of_one_process():
    runs = plan_runs([load_dataset("sbm")], ["mlp", "grand-l"], [1], range(2), epochs=2)
    alone, records = [], []
    run_sweep(runs, CPU, alone.append, progress=False)
    with distributed.LocalCluster(
        processes=True,
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        address = cluster.scheduler_address
        run_sweep(runs, CPU, records.append, progress=False, backend="dask", scheduler=address)
    records.sort(key=lambda record: [config.key for config, _ in runs].index(record_key(record)))
    assert [strip(r) for r in records] == [strip(r) for r in alone]


def test_a_scheduler_that_is_not_given_or_does_not_answer_is_an_error(monkeypatch):
    runs = plan_runs([load_dataset("sbm")], ["mlp"], [1], range(1), epochs=2)
    with pytest.raises(ValueError, match="scheduler's address"):
        run_sweep(runs, CPU, print, backend="dask", progress=False)
    monkeypatch.setattr("grandpp.training.remote_pools.PATIENCE", 0.5)
    with pytest.raises(OSError, match=r"127\.0\.0\.1:1 "):
        run_sweep(runs, CPU, print, backend="dask", scheduler="tcp://127.0.0.1:1", progress=False)
