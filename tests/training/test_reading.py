"""Files of records: read as they are, packed or not, and left alone."""

from __future__ import annotations

import gzip
import json

import pytest

from grandpp.training import load_records
from grandpp.training.records import read_records

RECORD = {
    "dataset": "Cora", "labels_per_class": 1, "protocol": "grand", "model": "gcn", "split": 0,
    "seed": 0, "config_hash": "c" * 12, "split_digest": "d" * 12, "test_accuracy": 0.5,
    "last_test_accuracy": 0.4, "val_accuracy": None,
}  # fmt: skip
LINES = "".join(json.dumps({**RECORD, "split": i}) + "\n" for i in range(3)).encode()


def test_plain_and_compressed_files_give_the_same_records_one_after_the_other(tmp_path):
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    plain.write_bytes(LINES)
    packed.write_bytes(gzip.compress(LINES, mtime=0))
    assert [r["split"] for r in load_records([plain, packed])] == [0, 1, 2, 0, 1, 2]
    assert list(load_records([packed])) == list(load_records([plain]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (LINES + b"my notes\n", ":4: not a valid record"),
        (LINES[:-20], ":3: not a valid record"),
        (b"[1]\n", ":1: not"),
        (b"\xff\xfe\n", ":1: not"),
        (gzip.compress(LINES, mtime=0)[:-12], "whole gzip file"),
        (b"\x1f\x8bnonsense", "whole gzip file"),
        (gzip.compress(b"", mtime=0), "empty"),
    ],
)
def test_a_broken_file_is_refused_and_not_repaired(tmp_path, content, words):
    path = tmp_path / "r.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        list(load_records([path]))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        {"test_accuracy": 55.0}, {"test_accuracy": "0.5"},
        {"best_time_test_accuracy": 2},
        {"split": None}, {"split": True}, {"model": 3}, {"split_digest": None}, {"config": []},
    ],
)  # fmt: skip
def test_a_record_with_a_value_that_is_none_of_its_kind_is_refused(tmp_path, change):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({**RECORD, **change}) + "\n")
    with pytest.raises(ValueError, match=":1: not"):
        list(load_records([path]))


def test_the_nan_of_older_files_is_no_accuracy(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({**RECORD, "test_accuracy": float("nan")}) + "\n")
    assert "NaN" in path.read_text()
    (record,) = load_records([path])
    assert record["test_accuracy"] is None
    assert read_records(path) == [record]


@pytest.mark.parametrize("name", ["val_accuracy", "split", "config_hash"])
def test_a_record_without_a_field_is_refused(tmp_path, name):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({k: v for k, v in RECORD.items() if k != name}) + "\n")
    with pytest.raises(ValueError, match=":1: not"):
        list(load_records([path]))
