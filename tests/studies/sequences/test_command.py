"""grandpp sequence as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from programs import runner

from grandpp.solvers import solve
from grandpp.studies.sequences import command

PLANE = {"node": 15_986, "anode": 16_730, "sonode": 16_649, "hbnode": 16_127, "ghbnode": 16_127}
WALKER = {"node": 8_729, "hbnode": 8_899, "ghbnode": 8_899}
SHORT = ["--epochs", "1", "--windows", "8", "--tolerance", "1e-2", "--quiet"]


main = runner(command.COMMAND, "sequence_forecast")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRANDPP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(("dataset", "counts"), [("plane-vibration", PLANE), ("walker2d", WALKER)])
def test_describe_needs_no_data_and_counts_parameters(capsys, dataset, counts):
    assert main(["--dataset", dataset, "--describe"]) == 0
    found = json.loads(capsys.readouterr().out)
    for model, count in counts.items():
        assert abs(found[model]["parameters"] - count) <= 2
    assert main(["--dataset", dataset, "--describe", "--model", "hbnode"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one == found["hbnode"]
    assert one["parameters"] == sum(layer["parameters"] for layer in one["layers"])


def test_runs_are_printed_kept_and_not_repeated(capsys):
    arguments = [*SHORT, "--out", "runs.jsonl", "--model", "hbnode"]
    assert main([*arguments, "--json"]) == 0
    printed, table = capsys.readouterr()
    run = json.loads(printed)
    assert (run["dataset"], run["model"], run["seed"]) == ("oscillator", "hbnode", 0)
    assert (run["status"], run["windows"], run["best_epoch"]) == ("success", 8, 1)
    assert len(run["history"]) == 1
    assert len(run["adjoint"]["norms"]) == 12
    assert "test at best" in table
    first = Path("runs.jsonl").read_text()
    assert main([*arguments, "--model", "node", "--plot", "picture.png"]) == 0
    assert Path("runs.jsonl").read_text().startswith(first)
    assert Path("runs.jsonl").read_text().count("\n") == 2
    table = capsys.readouterr().out
    assert "hbnode" in table
    assert "\n  node" in table
    assert Path("picture.png").stat().st_size > 10_000


def test_an_interrupted_run_resumes_to_the_same_result(capsys, monkeypatch):
    arguments = [*SHORT[2:], "--epochs", "2", "--model", "ghbnode", "--json"]
    assert main(arguments) == 0
    whole = json.loads(capsys.readouterr().out)
    epoch = command.Forecasting.train_epoch
    done = []

    def interrupted(task, on_batch):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(1)
        return epoch(task, on_batch)

    monkeypatch.setattr(command.Forecasting, "train_epoch", interrupted)
    assert main([*arguments, "--checkpoint", "run.pt"]) == 130
    assert "interrupted; 0 finished runs" in capsys.readouterr().err
    monkeypatch.setattr(command.Forecasting, "train_epoch", epoch)
    assert main([*arguments, "--checkpoint", "run.pt", "--resume"]) == 0
    resumed = json.loads(capsys.readouterr().out)
    for run in (whole, resumed):
        run.pop("seconds")
        for row in run["history"]:
            row.pop("seconds")
    assert resumed == whole


def test_several_runs_have_a_checkpoint_each(capsys):
    arguments = [*SHORT, "--model", "node", "--runs", "2", "--checkpoint", "run.pt"]
    assert main(arguments) == 0
    assert sorted(path.name for path in Path().glob("*.pt")) == ["run-node-0.pt", "run-node-1.pt"]


def test_a_model_that_fails_is_a_status_and_the_others_go_on(capsys, monkeypatch):
    monkeypatch.setattr(command, "MAX_NFE", 5)
    assert main([*SHORT, "--model", "hbnode", "--json"]) == 0
    printed, messages = capsys.readouterr()
    assert "evaluation budget" in json.loads(printed)["status"]
    assert "sequence_forecast: notice: hbnode 0: tsit5 after observation 0" in messages
    assert "hbnode" in messages.splitlines()[-1]


def test_a_probe_that_fails_leaves_the_training_a_success(capsys, monkeypatch):
    def fails(*_):
        solve(lambda t, y: y * y, torch.ones(1), (0.0, 2.0), solver="tsit5", max_nfe=20)

    monkeypatch.setattr(command, "probe_adjoint", fails)
    assert main([*SHORT, "--model", "node", "--json"]) == 0
    printed, messages = capsys.readouterr()
    run = json.loads(printed)
    assert run["status"] == "success" and "curve" in run
    assert "evaluation budget" in run["probe_status"]
    assert "notice: node 0: not probed: tsit5" in messages


def test_an_interrupted_probe_keeps_the_training(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "probe_adjoint", interrupted)
    assert main([*SHORT, "--model", "node", "--out", "runs.jsonl"]) == 130
    run = json.loads(Path("runs.jsonl").read_text())
    assert (run["status"], run["probe_status"], len(run["history"])) == (
        "success", "interrupted", 1,
    )  # fmt: skip


def test_runs_that_are_all_known_need_no_data(capsys):
    line = [*SHORT, "--model", "node", "--out", "runs.jsonl"]
    assert main(line) == 0
    text = Path("runs.jsonl").read_text()
    Path("runs.jsonl").write_text(text.replace("oscillator", "walker2d"))
    capsys.readouterr()
    assert main([*line, "--dataset", "walker2d", "--lr", "0.01", "--batch-size", "64"]) == 0
    assert "node" in capsys.readouterr().out


def test_lines_from_before_there_was_a_choice_of_solvers_are_read(capsys):
    line = [*SHORT, "--model", "node", "--out", "runs.jsonl"]
    assert main(line) == 0
    run = json.loads(Path("runs.jsonl").read_text())
    assert run.pop("solver") == "tsit5"
    Path("runs.jsonl").write_text(json.dumps(run) + "\n")
    assert main(line) == 0
    assert Path("runs.jsonl").read_text().count("\n") == 1


def test_exact_has_no_choice_of_gradients(capsys):
    assert main(["--solver", "exact", "--gradient", "adjoint"]) == 2
    assert "expected no --gradient with --solver exact" in capsys.readouterr().err


def test_exact_is_refused_before_any_run_where_a_model_is_not_linear(capsys):
    assert main([*SHORT, "--model", "node", "--solver", "exact", "--out", "runs.jsonl"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "node: expected a field that is linear in the state" in error
    assert not Path("runs.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "cnn"], "'cnn'"),
        (["--solver", "euler"], "'euler'"),
        (["--dataset", "mnist"], "'mnist'"),
        (["--runs", "0"], "positive integer (got '0')"),
        (["--windows", "-1"], "positive integer (got '-1')"),
        (["--tolerance", "0"], "positive number (got '0')"),
        (["--lr", "nan"], "positive number (got 'nan')"),
        (["--plot", "nowhere/p.png"], "existing folder"),
        (["--plot", "p.txt"], "file ending in one of"),
        (["--out", "notes.txt"], "notes.txt:1: not a valid record"),
        (["--checkpoint", "nowhere/run.pt"], "existing folder"),
        (["--checkpoint", "notes.txt", "--resume"], "expected a checkpoint in notes.txt"),
        (["--resume"], "expected --checkpoint with --resume"),
        (["--dataset", "walker2d"], "data set Walker2D was not found"),
        (["--dataset", "plane-vibration", "--root", "."], "<folder>/PlaneVibration/raw"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(capsys, arguments, words):
    Path("notes.txt").write_text("my notes\n")
    assert main([*SHORT, "--model", "node", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("sequence_forecast: error: ")
    assert words in error
    assert Path("notes.txt").read_text() == "my notes\n"
