"""Records of any study: the fields that tell runs apart, and lines that are no records."""

from __future__ import annotations

import gzip
import json

import pytest

from grandpp.training.record_file import RecordFile, RecordFormat, read_file

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
