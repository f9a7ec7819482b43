"""Sweeps in batches: the records of single runs, none twice, and nothing done is lost."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

import grandpp.training.batches as batches
from grandpp.data import load_dataset, sbm
from grandpp.studies.low_label import plan_runs
from grandpp.training import read_records, record_key, run_sweep
from grandpp.training.batches import plan_batches
from grandpp.training.record_file import RecordFile
from grandpp.training.records import RUN_RECORDS

CPU = torch.device("cpu")
LOOSE = ("seconds", "peak_memory_mb", "energy", "nfe_forward", "nfe_backward",
         "batch_size")  # fmt: skip


@pytest.fixture(scope="module")
def graph():
    data = sbm(1600, 3400, num_classes=3, num_features=64, words_per_node=8)
    data.name, data.num_classes = "sbm", 3
    return data


def plan(graph, splits=3, models=("grand-l", "grand++-l"), **settings):
    settings = {"epochs": 3, "time": 2.0, "hidden": 8, "attention_channels": 8, **settings}
    return plan_runs([graph], models, [2], range(splits), **settings)


def strip(record):
    return {k: v for k, v in record.items() if k not in LOOSE}


def sweep(runs, **options):
    records = []
    run_sweep(runs, CPU, records.append, progress=False, **options)
    return records


def test_runs_that_differ_in_split_and_seed_alone_go_together(graph):
    runs = plan_runs([graph, load_dataset("sbm")], ["grand-l", "grand++-l"], [1, 2], range(3))
    found = plan_batches(runs, 2)
    assert sorted(place for batch in found for place in batch) == list(range(len(runs)))
    assert found[:2] == [[0, 2], [4]]
    for batch in found:
        assert len({(runs[p][0].config_hash, id(runs[p][1])) for p in batch}) == 1
    assert max(map(len, plan_batches(runs, 20))) == 3


def test_batches_give_the_records_of_single_runs(graph, tmp_path):
    runs, out = plan(graph), tmp_path / "runs.jsonl"
    records = sweep(runs, batch_splits=2, out=out)
    alone = sweep(runs)
    assert {record_key(r): strip(r) for r in records} == {record_key(r): strip(r) for r in alone}
    assert sorted(r["batch_size"] for r in records) == [1, 1, 2, 2, 2, 2]
    assert {r["batch_size"] for r in alone} == {1}
    assert len(read_records(out)) == len(records) == 6
    assert all(r["seconds"] > 0 and r["nfe_forward"] > 0 for r in records)


def test_finished_runs_are_left_out_of_the_batches(graph, tmp_path, monkeypatch):
    out, asked = tmp_path / "runs.jsonl", []
    runs = plan(graph, models=["grand-l"], splits=4)
    first = sweep([runs[1]], out=out)
    real = batches.record_batch

    def perform(configs, *arguments):
        asked.append([config.split for config in configs])
        return real(configs, *arguments)

    monkeypatch.setattr(batches, "record_batch", perform)
    records = sweep(runs, out=out, batch_splits=2)
    assert asked == [[0, 2], [3]]
    assert records[0] == first[0]
    assert len(read_records(out)) == 4
    sweep(runs, out=out, batch_splits=2)
    assert len(asked) == 2


def test_runs_that_another_command_finishes_are_left_out_or_kept_as_theirs(
    graph, tmp_path, monkeypatch
):
    out, asked = tmp_path / "runs.jsonl", []
    runs = plan(graph, models=["grand-l"], splits=6)
    theirs = {c.split: replace(c) for c, _ in runs}
    real = batches.record_batch

    def perform(configs, *arguments):
        asked.append([config.split for config in configs])
        records = real(configs, *arguments)
        if len(asked) == 1:  # meanwhile the other one did a run of ours and one to come
            for split in (1, 3):
                done = real([theirs[split]], *arguments[:2])[0]
                RecordFile(out, RUN_RECORDS).add({**done, "test_accuracy": 0.123})
        return records

    monkeypatch.setattr(batches, "record_batch", perform)
    monkeypatch.setattr(random, "shuffle", lambda waiting: waiting.reverse())
    records = sweep(runs, out=out, batch_splits=2)
    assert asked == [[0, 1], [4, 5], [2]]
    assert [r["test_accuracy"] == 0.123 for r in records] == [False, True] + 2 * [False] + [
        False,
        True,
    ]
    assert len(read_records(out)) == 6


def test_an_interruption_loses_the_batch_under_way_and_no_other(graph, tmp_path, monkeypatch):
    out, real = tmp_path / "runs.jsonl", batches.record_batch

    def perform(configs, *arguments):
        if out.exists():
            raise KeyboardInterrupt
        return real(configs, *arguments)

    monkeypatch.setattr(batches, "record_batch", perform)
    with pytest.raises(KeyboardInterrupt):
        sweep(plan(graph, models=["grand-l"]), out=out, batch_splits=2)
    assert [r["split"] for r in read_records(out)] == [0, 1]


def test_the_bar_counts_the_epochs_of_all_runs(graph):
    shown, finished = [], []

    class Bar:
        def start(self, config):
            shown.clear()

        def show(self, epochs):
            shown.append(int(epochs.sum()))

        def finish(self, slot, record):
            finished.append(slot)

    runs = plan(graph, models=["grand-l"], splits=2)
    batches.run_batches(runs, 2, CPU, RecordFile(None, RUN_RECORDS), Bar(), lambda record: None)
    assert shown == [1, 2, 3, 4, 5, 6, 6]
    assert finished == [0, 1]


@pytest.mark.parametrize(
    ("models", "options", "words"),
    [
        (["grand-l", "gcn"], {}, r"\(got gcn\).*workers"),
        (["grand-l"], {"workers": 2}, "one worker for runs in batches.*workers=2"),
        (["grand-l"], {"backend": "dask"}, "one worker for runs in batches"),
        (["grand-l"], {"batch_splits": 0}, "at least one run"),
    ],
)
def test_what_cannot_be_done_in_batches_is_refused_before_anything_runs(
    graph, tmp_path, models, options, words
):
    out = tmp_path / "runs.jsonl"
    with pytest.raises(ValueError, match=words):
        sweep(plan(graph, models=models), out=out, **{"batch_splits": 2, **options})
    assert not out.exists()
