"""grandpp point-cloud as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from programs import runner

from grandpp.studies.point_cloud import command

COUNTS = {"node": 525, "anode": 567, "sonode": 527, "hbnode": 568, "ghbnode": 569}


main = runner(command.COMMAND, "point_cloud")


def test_describe_needs_no_data_and_counts_parameters(capsys, monkeypatch):
    monkeypatch.delenv("GRANDPP_DATA", raising=False)
    assert main(["--describe"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {m: found[m]["parameters"] for m in COUNTS} == COUNTS
    assert main(["--describe", "--model", "hbnode"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one == found["hbnode"]
    assert any("omega" in layer["layer"] or "gamma" in layer["layer"] for layer in one["layers"])


def test_runs_are_printed_kept_and_not_repeated(capsys, tmp_path):
    out, plot = tmp_path / "runs.jsonl", tmp_path / "picture.png"
    arguments = ["--epochs", "2", "--quiet", "--out", str(out), "--model", "ghbnode"]
    assert main([*arguments, "--json"]) == 0
    printed, table = capsys.readouterr()
    run = json.loads(printed)
    assert (run["model"], run["seed"], run["status"]) == ("ghbnode", 0, "success")
    assert len(run["nfe_backward"]) == 2
    assert "final loss" in table
    first = out.read_text()
    assert main([*arguments, "--model", "node", "--plot", str(plot)]) == 0
    assert out.read_text().startswith(first)
    assert out.read_text().count("\n") == 2
    table = capsys.readouterr().out
    assert "ghbnode" in table
    assert "\n   node" in table
    assert plot.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "cnn"], "'cnn'"),
        (["--runs", "0"], "positive integer (got '0')"),
        (["--epochs", "x"], "positive integer (got 'x')"),
        (["--plot", "nowhere/p.png"], "existing folder"),
        (["--plot", "p.txt"], "file ending in one of"),
        (["--out", "notes.txt"], "notes.txt:1: not a valid record"),
        (["--out", "nowhere/runs.jsonl"], "existing folder for nowhere/runs.jsonl"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("my notes\n")
    assert (
        main([*arguments, *([] if "--epochs" in arguments else ["--epochs", "1"]), "--quiet"]) == 2
    )
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("point_cloud: error: ")
    assert words in error
    assert Path("notes.txt").read_text() == "my notes\n"
