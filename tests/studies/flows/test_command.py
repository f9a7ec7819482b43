"""grandpp flow as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from programs import runner

from grandpp.studies.flows import command
from grandpp.studies.flows.settings import FlowSettings

SMALL = ["--quiet", "--solver", "prox_bdf2", "--train", "60", "--batch-size", "30"]


main = runner(command.COMMAND, "image_flow")


def test_describe_needs_no_data(capsys):
    assert main(["--describe"]) == 0
    digits = json.loads(capsys.readouterr().out)
    assert (digits["architecture"], digits["shape"]) == ("dense", [1, 8, 8])
    assert digits["parameters"] == 65 * 128 + 128 + 129 * 128 + 128 * 64 + 64
    assert main(["--describe", "--dataset", "cifar10"]) == 0
    assert json.loads(capsys.readouterr().out)["architecture"] == "multiscale"


def test_a_training_is_reported_kept_drawn_and_continued(capsys, tmp_path):
    out, sheet, plot = (tmp_path / name for name in ("runs.jsonl", "sheet.png", "plot.png"))
    kept = ["--checkpoint", str(tmp_path / "flow.pt")]
    pictures = ["--samples", str(sheet), "--plot", str(plot)]
    assert main([*SMALL, *kept, "--epochs", "1"]) == 0
    assert "bits_per_dim" in capsys.readouterr().out
    goes_on = [*SMALL, *kept, *pictures, "--epochs", "2", "--resume", "--json", "--out", str(out)]
    assert main(goes_on) == 0
    printed, table = capsys.readouterr()
    record = json.loads(printed)
    assert json.loads(out.read_text()) == record
    assert [row["epoch"] for row in record["history"]] == [1, 2]
    assert (record["solver"], record["status"], record["train"]) == ("prox_bdf2", "success", 60)
    assert "first 60 and 359 images" in record["images"]
    assert "nfe_forward" in table
    assert sheet.stat().st_size > 10_000
    assert plot.stat().st_size > 10_000


def test_solvers_are_compared_on_request(capsys):
    assert main([*SMALL, "--epochs", "1", "--compare-solvers", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    costs = {cost["solver"]: cost for cost in record["solvers"]}
    assert costs["dopri5 1e-05"]["change"] < 1e-3
    assert costs["prox_bdf2 0.2"]["nfe_forward"] < costs["dopri5 1e-07"]["nfe_forward"]


def test_an_interruption_keeps_finished_epochs(capsys, tmp_path, monkeypatch):
    path, real = tmp_path / "flow.pt", command.FlowTask.evaluate
    calls = []

    def evaluate(task):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(task)

    monkeypatch.setattr(command.FlowTask, "evaluate", evaluate)
    out = tmp_path / "runs.jsonl"
    kept = ["--checkpoint", str(path), "--out", str(out)]
    assert main([*SMALL, *kept, "--epochs", "3", "--test", "20"]) == 130
    shown, error = capsys.readouterr()
    assert "interrupted; 1 finished epochs are kept in " in error
    assert len(shown.splitlines()) == 2
    assert path.exists()
    record = json.loads(out.read_text())
    assert (record["status"], len(record["history"])) == ("interrupted", 1)
    assert record["images"].endswith("first 60 and 20 images")


def test_an_interruption_after_the_training_keeps_its_line(tmp_path, monkeypatch):
    def compare(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "compare_solvers", compare)
    out = tmp_path / "runs.jsonl"
    assert main([*SMALL, "--epochs", "1", "--compare-solvers", "--out", str(out)]) == 130
    record = json.loads(out.read_text())
    assert (record["status"], len(record["history"]), record["solvers"]) == ("success", 1, [])


def test_a_training_that_fails_says_so_with_its_table(capsys, monkeypatch):
    real = FlowSettings.build_solver

    def short(settings):
        solver = real(settings)
        object.__setattr__(solver, "max_nfe", 8)
        return solver

    monkeypatch.setattr(FlowSettings, "build_solver", short)
    assert main([*SMALL, "--epochs", "1"]) == 2
    assert "after 8 evaluations" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "svhn"], "'svhn'"),
        (["--solver", "newton"], "'newton'"),
        (["--epochs", "0"], "positive integer (got '0')"),
        (["--tol", "-1"], "positive number"),
        (["--inner", "bisection", "--solver", "prox_be"], "'inner' to be one of"),
        (["--train", "5000"], "'train' between 1 and 1438 (got 5000)"),
        (["--resume"], "--checkpoint with --resume"),
        (["--plot", "nowhere/p.png"], "existing folder"),
        (["--samples", "p.txt"], "file ending in one of"),
        (["--out", "nowhere/runs.jsonl"], "existing folder for nowhere/runs.jsonl"),
        (["--out", "notes.txt"], "notes.txt:1: not a valid record"),
        (["--test", "500"], "'test' between 1 and 359 (got 500)"),
        (["--tol", "nan"], "nan"),
        (["--checkpoint", "notes.txt"], "expected a checkpoint in notes.txt"),
        (["--checkpoint", "notes.txt", "--resume"], "expected a checkpoint in notes.txt"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("my notes\n")
    assert main([*arguments, "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("image_flow: error: ")
    assert words in error
    assert Path("notes.txt").read_text() == "my notes\n"
