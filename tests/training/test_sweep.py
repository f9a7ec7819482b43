"""Sweeps: several runs at once give what one after the other gives, and nothing done is lost."""

from __future__ import annotations

import os
import random
import signal
import sys

import numpy as np
import psutil
import pytest
import torch

import grandpp.training.pools as pools
import grandpp.training.sweep as sweep
from grandpp.data import load_dataset, low_label_split, split_digest
from grandpp.studies.low_label import plan_runs
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training import WorkerError, read_records, record_key, run_sweep
from grandpp.training.loop import record_run
from grandpp.training.record_file import RecordFile
from grandpp.training.records import RUN_RECORDS
from grandpp.training.threads import ONE_THREAD

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def runs():
    return plan_runs([load_dataset("sbm")], ["grand-l"], [2, 1], range(2), epochs=2)


def strip(record):
    loose = ("seconds", "peak_memory_mb")
    return {k: v for k, v in record.items() if k not in loose}


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by signals")
def test_workers_give_the_records_of_one_process_until_one_of_them_is_killed(runs, tmp_path):
    out, alone, records = tmp_path / "runs.jsonl", [], []
    run_sweep(runs, CPU, alone.append, progress=False)
    config, graph = runs[0]
    more = [(config.on(split, 0), graph) for split in range(2, 40)]

    def kill_a_worker(record):
        records.append(record)
        if len(records) == 6:
            os.kill(next(p.pid for p in workers()), signal.SIGKILL)

    with pytest.raises(WorkerError, match=r"SIGKILL.*memory"):
        run_sweep([*runs, *more], CPU, kill_a_worker, out=out, progress=False, workers=2)
    assert 6 <= len(records) < 42
    by_key = {record_key(r): strip(r) for r in records}
    assert all(by_key[record_key(r)] == strip(r) for r in alone)
    assert sorted(map(record_key, read_records(out))) == sorted(by_key)
    assert not list(workers())


def test_the_number_of_workers_moves_no_bit_whatever_threads_torch_has(threads_of_torch):
    graphs = [load_dataset("sbm")]
    runs = plan_runs(graphs, ["grand-l", "grand++-cluster-l"], [1], range(1), epochs=2)
    found = []
    for number, workers in ((1, 1), (2, 1), (2, 2)):
        torch.set_num_threads(number)
        records = []
        run_sweep(runs, CPU, records.append, progress=False, workers=workers)
        found.append(sorted((strip(r) for r in records), key=lambda r: r["model"]))
    assert found[0] == found[1] == found[2]


@pytest.fixture
def threads_of_torch():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_few_epochs_are_done_in_this_process_and_many_in_others(runs, monkeypatch):
    opened = []

    def processes(graphs, runs, workers, threads, logger):
        opened.append((workers, threads))
        raise WorkerError("enough seen")

    monkeypatch.setattr(sweep, "Processes", processes)
    monkeypatch.setattr("grandpp.training.threads.cpu_count", lambda: 3)
    records = []
    run_sweep(runs, CPU, records.append, progress=False)
    assert len(records) == 4
    long = plan_runs([load_dataset("sbm")], ["grand-l"], [2, 1], range(2), epochs=1000)
    with pytest.raises(WorkerError, match="enough seen"):
        run_sweep(long, CPU, records.append, progress=False)
    assert opened == [(3, ONE_THREAD)]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"workers": 0}, "'workers'.*got 0"), ({"threads": -1}, "'threads'.*got -1")],
)
def test_numbers_of_workers_and_threads_below_one_are_refused(runs, options, words):
    with pytest.raises(ValueError, match=words):
        run_sweep(runs, CPU, print, progress=False, **options)


def workers():
    children = psutil.Process().children(recursive=True)
    return (c for c in children if "LokyProcess" in " ".join(c.cmdline()))


def test_finished_runs_are_not_repeated(runs, tmp_path, monkeypatch):
    out, first, again = tmp_path / "runs.jsonl", [], []
    run_sweep(runs[:2], CPU, first.append, out=out, progress=False)
    lines = out.read_text()
    monkeypatch.setattr(pools, "record_run", None)
    run_sweep(runs[:2], CPU, again.append, out=out, progress=False)
    assert out.read_text() == lines
    assert again == first


def test_a_graph_is_split_by_its_configuration_and_one_with_masks_is_taken_as_it_is(runs):
    config, graph = runs[1]
    assert "train_mask" not in graph
    expected = low_label_split(graph, 2, seed=1)
    other = low_label_split(graph, 2, seed=7)
    digests = []
    for data in (graph, other):
        run_sweep(
            [(config, data)], CPU, lambda r: digests.append(r["split_digest"]), progress=False
        )
    assert digests == [split_digest(expected), split_digest(other)]


def test_several_workers_on_a_gpu_are_refused(runs):
    for options in ({"workers": 2}, {"backend": "dask"}):
        with pytest.raises(ValueError, match="one worker on a GPU"):
            run_sweep(runs, torch.device("cuda"), print, **options)


def test_a_run_that_another_command_has_finished_by_now_is_not_done_again(
    runs, tmp_path, monkeypatch
):
    out, records, done = tmp_path / "runs.jsonl", [], []
    theirs = {**record_run(*runs[1], CPU), "test_accuracy": 0.123}

    def on_record(record):
        if not records:
            RecordFile(out, RUN_RECORDS).add(theirs)
        records.append(record)

    def perform_and_tell(config, *arguments):
        done.append(config.key)
        return record_run(config, *arguments)

    monkeypatch.setattr(pools, "record_run", perform_and_tell)
    run_sweep(runs, CPU, on_record, out=out, progress=False)
    keys = [config.key for config, _ in runs]
    assert [record_key(r) for r in records] == keys
    assert done == [keys[0], *keys[2:]]
    assert records[1]["test_accuracy"] == 0.123
    assert len(read_records(out)) == 4


def test_two_commands_in_step_part_after_the_first_run_done_twice(runs, tmp_path, monkeypatch):
    out, order = tmp_path / "runs.jsonl", []

    def perform_like_the_other(config, data, device, on_epoch, logger):
        record = record_run(config, data, device, on_epoch)
        if not order:
            RecordFile(out, RUN_RECORDS).add({**record, "test_accuracy": 0.123})
        order.append(config.key)
        return record

    monkeypatch.setattr(pools, "record_run", perform_like_the_other)
    monkeypatch.setattr(random, "shuffle", lambda waiting: waiting.reverse())
    records = []
    run_sweep(runs, CPU, records.append, out=out, progress=False)
    keys = [config.key for config, _ in runs]
    assert order == [keys[0], keys[3], keys[2], keys[1]]
    assert records[0]["test_accuracy"] == 0.123
    assert len(read_records(out)) == 4


def test_a_worker_counts_its_epochs_and_hands_on_its_errors(runs):
    config, graph = runs[0]
    hopeless = tuned_run("sbm", "grand-l", 2, protocol="no_val", patience=1)
    with pools.Processes([graph], 3, 1) as pool:
        error = pool.submit(1, 0, hopeless).exception(timeout=120)
        pool.submit(2, 0, config).result(timeout=120)
        assert np.array_equal(pool.epochs, [0, 0, 2])
    assert isinstance(error, ValueError)
    assert "validation nodes" in str(error)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "slurm"}, "expected a backend of loky, dask, ray"),
        ({"backend": "dask"}, "pip install 'dask\\[distributed\\]'"),
        ({"backend": "ray"}, "pip install 'ray'"),
    ],
)
def test_a_backend_that_is_not_there_is_named_with_the_way_to_get_it(
    runs, monkeypatch, options, words
):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=words):
        run_sweep(runs, CPU, print, progress=False, **options)
