"""Packed records: small, the same bytes for the same records, the same comparison."""

from __future__ import annotations

import gzip
import json
import random

import pytest
from records_of import records_of

from grandpp.studies.low_label.comparison import compare
from grandpp.training import load_records
from grandpp.training.packing import pack_records, unpack_records

CONFIG = {"model": "a", "time": 4.0, "layers": None, "split": 0, "seed": 0, "epochs": 100}
VALUES = [0.6893401145935059, 0.52, None, 0.40, 0.55]


def full_records(n=5, commit="c1"):
    origin = {"versions": {"torch": "2.13.0"}, "device": "cpu", "git_commit": commit}
    rest = {"seconds": 1.2345678, "energy": 0.0123456789, "nfe_forward": 24.123456,
            "peak_memory_mb": 513.5, "best_epoch": 11, "status": "success"}  # fmt: skip
    records = [
        *records_of("a", VALUES[:n], **origin, **rest),
        *records_of("grand-l", [0.5, 0.6, 0.4, 0.45, 0.5][:n], **origin, **rest),
    ]
    for record in records:
        config = {**CONFIG, "model": record["model"], "split": record["split"]}
        record["config"] = config
        if record["test_accuracy"] is None:
            record.update(status="max_nfe", message="too many evaluations")
    return records


def packed(tmp_path, records):
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(pack_records(records))
    return path


def test_the_packed_file_gives_the_comparison_of_the_raw_one(tmp_path):
    records = full_records()
    path = packed(tmp_path, records)
    for metric in ("test_accuracy", "last_test_accuracy"):
        assert compare(load_records([path]), metric=metric) == compare(records, metric=metric)


def test_the_same_records_give_the_same_bytes_in_any_order(tmp_path):
    records = full_records()
    content = pack_records(records)
    assert pack_records(random.Random(0).sample(records, len(records))) == content
    assert content[4:8] == bytes(4)  # no time stamp
    assert pack_records(unpack_records(load_records([packed(tmp_path, records)]))) == content


def test_what_repeats_is_written_once_and_read_back_for_all(tmp_path):
    records = full_records()
    path = packed(tmp_path, records)
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert sum("config" in line for line in lines) == 2
    assert sum("versions" in line for line in lines) == 2
    assert not any("peak_memory_mb" in line for line in lines)
    back = list(unpack_records(load_records([path])))
    assert all(r["versions"] == {"torch": "2.13.0"} and r["git_commit"] == "c1" for r in back)
    assert {(r["model"], r["config"]["model"], r["config"]["time"]) for r in back} == {
        ("a", "a", 4.0), ("grand-l", "grand-l", 4.0)
    }  # fmt: skip
    assert back[0]["seconds"] == 1.23
    assert back[0]["energy"] == pytest.approx(0.0123457)


@pytest.mark.parametrize("name", ["batch_size", "together"])  # the second in earlier versions
def test_runs_of_a_batch_are_told_from_single_ones(name, tmp_path):
    records = full_records()
    for record in records:
        record[name] = 3 if record["split"] < 3 else 1
    path = packed(tmp_path, records)
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert sum("batch_size" in line for line in lines) == 6
    back = unpack_records(load_records([path]))
    assert all(r["batch_size"] == (3 if r["split"] < 3 else 1) for r in back)


def test_the_best_time_is_kept_exactly_where_a_run_looked_for_it(tmp_path):
    looked = {"best_time": 54.9, "best_time_epoch": 3, "best_time_val_accuracy": 1 / 3,
              "best_time_test_accuracy": 2 / 7}  # fmt: skip
    records = full_records()
    for record in records:
        record |= looked if record["split"] == 2 else dict.fromkeys(looked)
    path = packed(tmp_path, records)
    for record in unpack_records(load_records([path])):
        found = {name: record[name] for name in looked if name in record}
        assert found == (looked if record["split"] == 2 else {})


def test_a_change_of_origin_is_kept_where_it_happens(tmp_path):
    records = full_records()
    for record in records:
        record["git_commit"] = {2: "c2", 3: None}.get(record["split"], "c1")
    back = unpack_records(load_records([packed(tmp_path, records)]))
    found = {(r["model"], r["split"]): r.get("git_commit") for r in back}
    assert found == {(r["model"], r["split"]): r["git_commit"] for r in records}


def test_a_failure_keeps_its_status_and_words(tmp_path):
    back = list(unpack_records(load_records([packed(tmp_path, full_records())])))
    failed = [r for r in back if r["status"] != "success"]
    assert [(r["split"], r["status"], r["message"]) for r in failed] == [
        (2, "max_nfe", "too many evaluations")
    ]


def test_a_hundred_records_take_less_than_a_tenth(tmp_path):
    records = [{**r, "split": i, "split_digest": f"{i:012x}"}
               for i in range(100) for r in full_records(1)]  # fmt: skip
    raw = len("".join(json.dumps(r) + "\n" for r in records))
    assert len(pack_records(records)) < raw / 10
