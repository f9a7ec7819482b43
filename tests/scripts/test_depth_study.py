"""The depth study as its users run it."""

from __future__ import annotations

import json

import pytest
from commands import main_of

from grandpp.studies.low_label.depth import COMMAND

main = main_of(COMMAND, "depth_study")

SMALL = ["--dataset", "sbm", "--labels-per-class", "2", "--epochs", "2", "--quiet"]


def test_every_cell_is_finite_and_a_second_run_repeats_nothing(capsys, tmp_path):
    out, picture = tmp_path / "runs.jsonl", tmp_path / "depth.png"
    command = [*SMALL, "--time", "1", "--time", "200", "--out", str(out), "--json"]
    assert main([*command, "--plot", str(picture)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["model"], r["time"]) for r in rows] == [
        (m, t) for t in (1.0, 200.0) for m in ("grand-l", "grand++-l", "hb-l")
    ]
    assert all(0 <= r["test_accuracy"] <= 1 and r["failed"] == 0 for r in rows)
    energy = {(r["model"], r["time"]): r["energy"] for r in rows}
    assert all(energy[m, 200.0] < 0.1 * energy[m, 1.0] for m in ("grand-l", "grand++-l", "hb-l"))
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines = out.read_text()
    assert main(command) == 0
    assert out.read_text() == lines
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--time", "-1"], "time"),
        (["--gamma", "-1"], "gamma"),
        (["--plot", "nowhere/a.png"], "existing folder"),
        (["--dataset", "Corra"], "Corra"),
        (["--model", "gcn"], "gcn"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, words, capsys):
    assert main([*SMALL, *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert words in lines[0]
