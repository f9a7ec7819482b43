"""grandpp silverbox as a user meets it."""

from __future__ import annotations

import json
import math

import pytest
from programs import runner

from grandpp.studies.silverbox import command

main = runner(command.COMMAND, "silverbox")


@pytest.fixture(autouse=True)
def no_data(monkeypatch, tmp_path):
    monkeypatch.delenv("GRANDPP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("grandpp.data.silverbox.ROWS", 70)
    folder = tmp_path / "data" / "Silverbox" / "raw"
    folder.mkdir(parents=True)
    rows = [f"{0.02 * math.sin(0.4 * t):.6f},{0.03 * math.cos(0.3 * t):.6f}," for t in range(70)]
    (folder / "sb.csv").write_text('"V1","V2",\n' + "\n".join(rows) + "\n")
    return tmp_path / "data"


def test_draws_are_measured_printed_and_drawn(root, capsys, tmp_path):
    plot = tmp_path / "growth.png"
    arguments = ["--root", str(root), "--draws", "1", "--model", "hbnode", "--model", "adamnode"]
    assert main([*arguments, "--json", "--quiet", "--plot", str(plot)]) == 0
    printed, table = capsys.readouterr()
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [row["model"] for row in rows] == ["hbnode", "adamnode"]
    for row in rows:
        assert row["status"] == "success"
        assert row["log10_h64"] == pytest.approx(math.log10(row["norms"][64]))
    assert "log10 |h(64)|" in table
    assert plot.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Silverbox was not found: looked in"),
        (["--root", "nowhere"], "looked in nowhere"),
        (["--model", "rnn"], "'rnn'"),
        (["--draws", "-1"], "positive integer (got '-1')"),
        (["--plot", "p.txt"], "file ending in one of"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(capsys, arguments, words):
    assert main([*arguments, "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("silverbox: error: ")
    assert words in error


def test_a_broken_file_is_one_line_too(root, capsys):
    (root / "Silverbox" / "raw" / "sb.csv").write_text("V1,V2\nx,y\n")
    assert main(["--root", str(root), "--quiet"]) == 2
    assert "refused" in capsys.readouterr().err
