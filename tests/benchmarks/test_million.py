"""The benchmark of a large graph at a small size: files, a process of its own, one row."""

from __future__ import annotations

import json

import pytest

from grandpp.training.command import Command, run_command


@pytest.fixture
def million(load):
    return load("million")


def test_time_by_stage_and_peak_memory_are_reported(million, capfd, tmp_path):
    command = Command("million", "About.", million.MillionOptions, million.run)
    out = tmp_path / "runs.jsonl"
    words = ["--nodes", "300", "--edges", "1500", "--classes", "3", "--labels-per-class", "5"]
    words += ["--model", "view-clusters", "--format", "csv", "--json", "--out", str(out)]
    assert run_command(command, words) == 0
    row = json.loads(capfd.readouterr().out)
    assert row["nodes"] == 300 and 1300 < row["edges"] <= 1500
    assert row["accuracy"] > 0.9
    assert 0.1 < row["peak_gib"] < 8
    assert set(row["seconds"]) == {"reading", "fitting", "writing", "total"}
    assert json.loads(out.read_text()) == row
    assert run_command(command, [*words, "--model", "lstm"]) == 2
    assert "lstm" in capfd.readouterr().err
