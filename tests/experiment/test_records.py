"""One line per run: nothing lost, nothing mixed."""

from __future__ import annotations

import json
import multiprocessing

import pytest

from grandpp.experiment import append_record, drop_torn_line, read_records, record_key


def record(split, seed=0, **more):
    base = {
        "dataset": "sbm",
        "labels_per_class": 1,
        "protocol": "grand",
        "model": "gcn",
        "split": split,
        "seed": seed,
        "config_hash": "0" * 12,
    }
    return {**base, **more}


def append_many(path, seed):
    for split in range(100):
        append_record(path, record(split, seed, padding="x" * 2000))


def test_appended_records_come_back(tmp_path):
    path = tmp_path / "r.jsonl"
    assert read_records(path) == []
    append_record(path, record(0))
    append_record(path, record(1))
    assert [record_key(r) for r in read_records(path)] == [record_key(record(i)) for i in (0, 1)]


def test_a_line_torn_by_a_crash_is_dropped_and_cut_before_appending(tmp_path):
    path = tmp_path / "r.jsonl"
    append_record(path, record(0))
    with path.open("a") as file:
        file.write(json.dumps(record(1))[:40])
    assert len(read_records(path)) == 1
    drop_torn_line(path)
    append_record(path, record(2))
    assert [r["split"] for r in read_records(path)] == [0, 2]


def test_a_foreign_file_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('{"a": 1}\n{"b": 2}\n')
    with pytest.raises(ValueError, match="line 1"):
        read_records(path)
    assert path.read_text() == '{"a": 1}\n{"b": 2}\n'


def test_two_processes_may_append_at_once(tmp_path):
    path = tmp_path / "r.jsonl"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=append_many, args=(path, seed)) for seed in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    keys = [record_key(r) for r in read_records(path)]
    assert len(keys) == len(set(keys)) == 200
