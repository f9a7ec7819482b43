"""One line per run: nothing lost, nothing mixed."""

from __future__ import annotations

import errno
import gzip
import json
import multiprocessing
import os

import pytest

from grandpp.training import append_record, read_records, record_key


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


def test_a_line_torn_by_a_crash_is_passed_over_and_cut_off_by_the_next_append(tmp_path):
    path = tmp_path / "r.jsonl"
    append_record(path, record(0, best_epoch=1))
    with path.open("a") as file:
        file.write(json.dumps(record(1, best_epoch=1), sort_keys=True)[:40])
    torn = path.read_bytes()
    assert len(read_records(path)) == 1
    assert path.read_bytes() == torn
    append_record(path, record(2))
    assert [r["split"] for r in read_records(path)] == [0, 2]


@pytest.mark.parametrize("length", [1, 2, 5, 100_000])
def test_wherever_a_line_is_torn_what_stands_before_it_is_kept(tmp_path, length):
    path = tmp_path / "r.jsonl"
    append_record(path, record(0, best_epoch=1))
    whole = path.read_bytes()
    line = json.dumps(record(1, best_epoch=1, padding="x" * 200_000), sort_keys=True)
    path.write_bytes(whole + line.encode()[:length])
    assert len(read_records(path)) == 1
    append_record(path, record(0, best_epoch=1))
    assert path.read_bytes() == whole + whole


def test_a_whole_record_that_lost_its_newline_alone_is_kept(tmp_path):
    path = tmp_path / "r.jsonl"
    append_record(path, record(0))
    path.write_bytes(path.read_bytes()[:-1])
    assert len(read_records(path)) == 1
    append_record(path, record(1))
    assert [r["split"] for r in read_records(path)] == [0, 1]


def test_a_compressed_file_is_read_as_the_plain_one(tmp_path):
    path, packed = tmp_path / "r.jsonl", tmp_path / "r.jsonl.gz"
    for split in range(3):
        append_record(path, record(split))
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_records(packed) == read_records(path)


def test_nothing_is_appended_to_a_file_that_ends_in_something_else(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes")
    with pytest.raises(ValueError, match="last line is not a valid record"):
        append_record(path, record(0))
    assert path.read_text() == "my notes"


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "r.jsonl"
    append_record(path, record(0))
    before, write = path.read_bytes(), os.write

    def half(handle, content):
        if len(content) < 60:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, content[: len(content) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        append_record(path, record(1))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text", ['{"a": 1}\n{"b": 2}\n', '{"a": 1}', '{"a": ', "my notes", "my notes\n", "[1, 2]\n"]
)
def test_a_foreign_file_is_refused_and_left_alone(tmp_path, text):
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=":1: not a valid record"):
        read_records(path)
    assert path.read_text() == text


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
