"""Files of records: keys, torn lines, and several processes on one file."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading

import pytest

from grandpp.training import read_records, record_key
from grandpp.training.record_file import RecordFile, RecordFormat, locked, read_file
from grandpp.training.records import RUN_RECORDS


def record(split, **more):
    return {
        "best_epoch": 1,
        "dataset": "sbm",
        "labels_per_class": 1,
        "protocol": "grand",
        "model": "gcn",
        "split": split,
        "seed": 0,
        "config_hash": "0" * 12,
        **more,
    }


def line(split):
    return (json.dumps(record(split), sort_keys=True) + "\n").encode()


def splits(file):
    return [r["split"] for r in file.records.values()]


def test_a_run_that_another_process_finished_is_seen_and_not_written_again(tmp_path):
    path = tmp_path / "r.jsonl"
    ours, theirs = RecordFile(path, RUN_RECORDS), RecordFile(path, RUN_RECORDS)
    assert theirs.add(record(0, by="them"))
    assert splits(ours) == []
    assert not ours.add(record(0, by="us"))
    assert ours.records[record_key(record(0))]["by"] == "them"
    assert ours.add(record(1))
    theirs.refresh()
    assert splits(ours) == splits(theirs) == [0, 1]
    assert path.read_text().count("\n") == 2


def test_a_line_that_is_being_written_is_read_once_it_is_whole(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(line(0))
    file = RecordFile(path, RUN_RECORDS)
    with path.open("ab", buffering=0) as other:
        other.write(line(1)[:30])
        file.refresh()
        assert splits(file) == [0]
        other.write(line(1)[30:])
    file.refresh()
    assert splits(file) == [0, 1]


def test_a_torn_end_is_not_cut_off_while_its_writer_lives(tmp_path):
    path, begun = tmp_path / "r.jsonl", threading.Event()
    path.write_bytes(line(0))

    def write_slowly():
        with locked(path), path.open("ab", buffering=0) as file:
            file.write(line(1)[:30])
            begun.set()
            threading.Event().wait(0.3)
            file.write(line(1)[30:])

    writer = threading.Thread(target=write_slowly)
    writer.start()
    begun.wait()
    opened = RecordFile(path, RUN_RECORDS)
    writer.join()
    assert splits(opened) == [0, 1]
    assert path.read_bytes() == line(0) + line(1)


@pytest.mark.parametrize("end", [line(1)[:1], line(1)[:30], line(1)[:-1]])
def test_a_torn_line_of_a_killed_process_is_repaired_when_the_file_is_opened(tmp_path, end):
    path = tmp_path / "r.jsonl"
    path.write_bytes(line(0) + end)
    file = RecordFile(path, RUN_RECORDS)
    whole = [0, 1] if end == line(1)[:-1] else [0]
    assert splits(file) == whole
    assert path.read_bytes() == b"".join(line(s) for s in whole)


@pytest.mark.parametrize("text", ['{"a": 1}\n', '{"a": 1}', '{"a": ', "my notes", "my notes\n"])
def test_a_foreign_file_is_refused_and_left_alone(tmp_path, text):
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=":1: not a valid record"):
        RecordFile(path, RUN_RECORDS)
    assert path.read_text() == text


def test_the_line_that_is_no_record_is_named_by_its_number(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(line(0) + line(1))
    file = RecordFile(path, RUN_RECORDS)
    with path.open("ab") as other:
        other.write(line(2) + b"{}\n")
    with pytest.raises(ValueError, match=":4: not"):
        file.refresh()


def test_a_file_that_is_replaced_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(line(0) + line(1))
    file = RecordFile(path, RUN_RECORDS)
    path.write_bytes(line(2))
    file.refresh()
    assert splits(file) == [0, 1, 2]


def test_a_compressed_file_or_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="compressed"):
        RecordFile(tmp_path / "r.jsonl.gz", RUN_RECORDS)
    with pytest.raises(ValueError, match="existing folder"):
        RecordFile(tmp_path / "nowhere" / "r.jsonl", RUN_RECORDS)


ADD_ALL = """
import json, sys
from pathlib import Path
from grandpp.training.record_file import RecordFile
from grandpp.training.records import RUN_RECORDS
file = RecordFile(Path(sys.argv[1]), RUN_RECORDS)
print("ready", flush=True)
print(sum(file.add(json.loads(text)) for text in sys.stdin))
"""


def test_of_two_processes_that_add_the_same_runs_one_writes_each(tmp_path):
    path = tmp_path / "r.jsonl"
    command = [sys.executable, "-c", ADD_ALL, str(path)]
    pipe = subprocess.PIPE
    workers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 2
    for worker in workers:  # both at once
        worker.stdin.write("".join(line(split).decode() for split in range(60)))
        worker.stdin.close()
    assert sum(int(worker.stdout.read()) for worker in workers) == 60
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    assert sorted(r["split"] for r in read_records(path)) == list(range(60))


AB = RecordFormat(("a", "b"))


A = RecordFormat(("a",), required=("z",), optional=("history",))


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def test_runs_are_found_by_their_key(tmp_path):
    path = tmp_path / "runs.jsonl"
    assert RecordFile(path, AB).records == RecordFile(None, AB).records == {}
    path.write_text('{"a": 1, "b": null, "c": 3}\n{"a": [2, 3], "b": 0.5}\n')
    file = RecordFile(path, AB)
    assert file.records == {
        (1, None): {"a": 1, "b": None, "c": 3},
        ((2, 3), 0.5): {"a": [2, 3], "b": 0.5},
    }
    assert file.find({"a": (2, 3), "b": 0.5, "other": 1}) == {"a": [2, 3], "b": 0.5}
    assert file.find({"a": 7, "b": 0.5}) is None


def test_fields_that_older_lines_lack_have_their_earlier_values(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(lines({"a": 1}, {"a": 1, "solver": "exact"}))
    form = RecordFormat(("a", "solver"), earlier={"solver": "tsit5"})
    assert list(RecordFile(path, form).records) == [(1, "tsit5"), (1, "exact")]


@pytest.mark.parametrize(
    "line", ["words", '{"b": 1}', "[1]", "3", '{"a": 1}', '{"a": {}, "z": 1}',
             '{"a": 1, "z": 1, "history": [1]}'],
)  # fmt: skip
def test_a_line_that_is_no_run_is_refused_by_number(tmp_path, line):
    path = tmp_path / "runs.jsonl"
    path.write_text(lines({"a": 1, "z": 0}) + line + "\n")
    for read in (RecordFile, read_file):
        with pytest.raises(ValueError, match=r"runs.jsonl:2: not a valid record"):
            read(path, A)


@pytest.mark.parametrize("first", ["a", "z", "history"])
def test_a_torn_line_is_known_whichever_field_comes_first(tmp_path, first):
    path = tmp_path / "runs.jsonl"
    record = {first: [], "a": 1, "z": 0}
    whole = lines({"a": 7, "z": 0})
    for length in (1, 2, 3, len(first) + 2, len(first) + 5):
        torn = json.dumps(record)[:length]
        for before, kept in (("", []), (whole, [7])):
            path.write_text(before + torn)
            assert [r["a"] for r in read_file(path, A)] == kept
            assert path.read_text() == before + torn
            file = RecordFile(path, A)
            assert path.read_text() == before
            assert file.add({"a": 2, "z": 0})
            assert [r["a"] for r in read_file(path, A)] == [*kept, 2]


@pytest.mark.parametrize("text", ['{"strange": ', '{"str', "{my notes", '{"b": 1}'])
def test_what_begins_like_no_record_is_not_cut_off(tmp_path, text):
    path = tmp_path / "runs.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=r":1: not a valid record"):
        RecordFile(path, A)
    assert path.read_text() == text


def test_a_whole_last_line_counts_without_its_newline(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(lines({"a": 1, "z": 0}, {"a": 2, "z": 0})[:-1])
    assert list(RecordFile(path, A).records) == [(1,), (2,)]
    path.write_text('{"a": 1, "hist\n' + lines({"a": 2, "z": 0}))
    with pytest.raises(ValueError, match=":1: not"):
        RecordFile(path, A)


def test_a_compressed_file_is_read_whatever_its_name(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(gzip.compress(lines({"a": 1, "z": 0}).encode()))
    assert read_file(path, A) == [{"a": 1, "z": 0}]
