"""The reproduction as its users run it, on the embedded graph."""

from __future__ import annotations

import json
import os

import pytest
from commands import main_of
from reproduced_of import around, reproduced_of

from grandpp.studies.thesis import reproduce as module
from grandpp.training import append_record, load_records

main = main_of(module.COMMAND, "reproduce")

SMALL = ["--table", "4.3", "--datasets", "sbm", "--labels", "1", "--epochs", "1", "--quiet"]


@pytest.fixture
def trained(monkeypatch):
    """Keys of the runs that were trained, in order."""
    keys = []
    original = module.run_sweep

    def run_sweep(runs, *args, **kwargs):
        keys.extend(config.key for config, _ in runs)
        original(runs, *args, **kwargs)

    monkeypatch.setattr(module, "run_sweep", run_sweep)
    return keys


def write(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return str(path)


def test_a_table_is_run_reported_and_continued_without_repeating(trained, capsys, tmp_path):
    folder = tmp_path / "new" / "results"
    command = [*SMALL, "--results", str(folder), "--models", "poisson", "mlp"]
    assert main([*command, "--splits", "1"]) == 0
    assert "not in the thesis" in capsys.readouterr().out
    assert sorted(name for name in os.listdir(folder) if not name.endswith(".lock")) == [
        "RESULTS.md", "table-4.3.csv", "table-4.3.jsonl", "table-4.3.jsonl.gz", "table-4.3.md",
        "table-4.3.png",
    ]  # fmt: skip
    assert main([*command, "--splits", "2"]) == 0
    assert len(trained) == len(set(trained)) == 4
    raw = (folder / "table-4.3.jsonl").read_text()
    assert raw.count("\n") == 4
    # The packed records alone are enough to go on from.
    page = (folder / "table-4.3.md").read_text()
    (folder / "table-4.3.jsonl").unlink()
    assert main([*command, "--splits", "2"]) == 0
    assert len(trained) == 4
    assert (folder / "table-4.3.md").read_text() == page


def test_the_report_alone_trains_nothing_and_takes_other_files(trained, capsys, tmp_path):
    records = [*reproduced_of("grand-l", around(0.65)), *reproduced_of("mlp", around(0.6))]
    path = write(tmp_path / "mine.jsonl", records)
    folder = tmp_path / "results"
    command = ["--table", "4.3", "--report-only", "--results", str(folder)]
    assert main([*command, "--records", path]) == 0
    out = capsys.readouterr().out
    assert out.endswith(f"More in {folder / 'table-4.3.md'}\n")
    assert "better (p < 0.001)" in out
    assert "mlp" not in out
    assert trained == []
    packed = list(load_records([folder / "table-4.3.jsonl.gz"]))
    assert [r["model"] for r in packed] == ["grand-l"] * 20
    before = (folder / "table-4.3.md").read_bytes()
    assert main(command) == 0
    assert (folder / "table-4.3.md").read_bytes() == before


def test_the_tables_of_t_tests_are_part_of_table_43(capsys, tmp_path):
    records = [*reproduced_of("grand-l", [0.50, 0.52, 0.61, 0.40, 0.55]),
               *reproduced_of("grand++-l", [0.53, 0.56, 0.63, 0.45, 0.57])]  # fmt: skip
    path = write(tmp_path / "a.jsonl", records)
    arguments = ["--report-only", "--records", path, "--results", str(tmp_path)]
    assert main(["--table", "4.5", *arguments]) == 0
    assert "1.06 +- 6.24" in capsys.readouterr().out
    assert (tmp_path / "table-4.3.jsonl.gz").exists()
    assert main(["--table", "4.4", *arguments]) == 0
    assert "1.05" in capsys.readouterr().out


def test_json_prints_one_line_per_cell_or_test_and_the_table_to_stderr(capsys, tmp_path):
    records = [*reproduced_of("grand-l", [0.50, 0.52, 0.61, 0.40, 0.55]),
               *reproduced_of("grand++-l", [0.53, 0.56, 0.63, 0.45, 0.57])]  # fmt: skip
    path = write(tmp_path / "a.jsonl", records)
    arguments = ["--report-only", "--records", path, "--results", str(tmp_path)]
    lines = {}
    for table in ("4.3", "4.4", "4.5"):
        command = ["--table", table, *arguments]
        if table == "4.3":
            command += ["--models", "grand++-l"]
        assert main(command) == 0
        plain = capsys.readouterr().out
        assert main([*command, "--json"]) == 0
        out, err = capsys.readouterr()
        assert err == plain
        lines[table] = [json.loads(line) for line in out.splitlines()]
    assert {row["model"] for row in lines["4.3"]} == {"grand++-l"}
    (cell,) = (row for row in lines["4.3"] if row["splits"])
    assert (cell["dataset"], cell["labels"], cell["splits"]) == ("Cora", 1, 5)
    assert cell["mean"] == pytest.approx(0.548) and cell["thesis_mean"] == 0.5494
    (unpaired,), (paired,) = lines["4.4"], lines["4.5"]
    assert (unpaired["dataset"], unpaired["labels"], unpaired["thesis_t"]) == ("Cora", 1, 1.05)
    assert paired["difference"] == pytest.approx(0.032) and paired["pairs"] == 5
    assert paired["thesis_difference"] == pytest.approx(0.0106)


def test_ctrl_c_keeps_what_is_done(monkeypatch, trained, capsys, tmp_path):
    counted = module.run_sweep

    def interrupted(runs, device, on_record, *, out, **kwargs):
        record = reproduced_of("poisson", [0.5], dataset="sbm")[0]
        append_record(out, record)
        on_record(record)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_sweep", interrupted)
    command = [*SMALL, "--models", "poisson", "--splits", "2", "--results", str(tmp_path)]
    assert main(command) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert "runs of the table kept: 1" in err
    assert main(["--table", "4.3", "--report-only", "--results", str(tmp_path)]) == 0
    assert "50.00" in capsys.readouterr().out
    monkeypatch.setattr(module, "run_sweep", counted)
    assert main(command) == 0
    assert [key[4] for key in trained] == [1]  # split 0 is not repeated


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--table", "4.2"], "4.2"),
        (["--table", "4.3", "--report-only"], "got none"),
        (["--table", "4.3", "--models", "nothing"], "does not have nothing"),
        (["--table", "4.3", "--datasets", "Core"], "Core"),
        (["--table", "4.3", "--depths", "1"], "--depths"),
        (["--table", "4.1", "--labels", "1"], "--labels"),
        (["--table", "4.1", "--models", "poisson"], "with a depth"),
        (["--table", "4.3", "--splits", "0"], "positive integer"),
        (["--table", "4.3", "--report-only", "--records", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--table", "4.3", "--models", "gcn", "--datasets", "Cora"], "got 1ea and"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "1ea" in words:
        (tmp_path / "results").mkdir()
        write(tmp_path / "results" / "table-4.3.jsonl",
              reproduced_of("gcn", [0.5], config_hash="1ea"))  # fmt: skip
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("reproduce: error: ")
    assert err.count("\n") == 1
    assert words in err
    assert not (tmp_path / "results" / "RESULTS.md").exists()


def test_help_teaches(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("verdict", "filled", "RESULTS.md", "--report-only"))
