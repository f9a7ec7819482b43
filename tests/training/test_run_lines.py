"""Runs of a file by their key."""

from __future__ import annotations

import pytest

from grandpp.training.run_lines import read_runs


def test_runs_are_found_by_their_key(tmp_path):
    path = tmp_path / "runs.jsonl"
    assert read_runs(path, ("a", "b")) == {}
    assert read_runs(None, ("a",)) == {}
    path.write_text('{"a": 1, "b": null, "c": 3}\n{"a": 2, "b": 0.5}\n')
    assert read_runs(path, ("a", "b")) == {
        (1, None): {"a": 1, "b": None, "c": 3},
        (2, 0.5): {"a": 2, "b": 0.5},
    }


@pytest.mark.parametrize("line", ["words", '{"b": 1}', "[1]", "3"])
def test_a_line_that_is_no_run_is_refused_by_number(tmp_path, line):
    path = tmp_path / "runs.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n')
    with pytest.raises(ValueError, match=r"one run per line in .* \(line 2 is none\)"):
        read_runs(path, ("a",))


def test_a_torn_last_line_is_passed_over_and_a_whole_one_counts(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"a": 1}\n{"a": 2, "hist')
    assert read_runs(path, ("a",)) == {(1,): {"a": 1}}
    path.write_text('{"a": 1}\n{"a": 2}')
    assert set(read_runs(path, ("a",))) == {(1,), (2,)}
    path.write_text('{"a": 1, "hist\n{"a": 2}\n')
    with pytest.raises(ValueError, match="line 1 is none"):
        read_runs(path, ("a",))


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match="existing folder"):
        read_runs(tmp_path / "none" / "runs.jsonl", ("a",))
