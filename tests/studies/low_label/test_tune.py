"""The search of settings: interrupted, resumed, pruned, and reported as a row."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace

import pytest
from commands import main_of

import grandpp.data.graphs as graphs
from grandpp.data import sbm
from grandpp.studies.low_label import ZOO, tuned_run
from grandpp.studies.low_label.tune import COMMAND, settings_row
from grandpp.training.loggers import EpochValues

optuna = pytest.importorskip("optuna")
from optuna.storages.journal import JournalFileBackend  # noqa: E402

from grandpp.studies.low_label import tuning  # noqa: E402

main = main_of(COMMAND, "grandpp tune")
BASE = ["--dataset", "sbm", "--labels-per-class", "1", "--splits", "2", "--quiet"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(
        graphs, "sbm", lambda: sbm(300, 700, num_classes=3, num_features=64, words_per_node=8)
    )


class Bowl:
    """Runs whose validation accuracy is largest at lr = 0.005 and grows along the epochs."""

    def __init__(self):
        self.runs, self.epochs = [], []
        self.stop_at = None
        self.change = lambda run, record: record

    def __call__(self, run, data, device, logger):
        if len(self.runs) == self.stop_at:
            raise KeyboardInterrupt
        self.runs.append(run)
        self.epochs.append(0)
        settings = run.settings
        distance = abs(settings.lr - 0.005) / (settings.lr + 0.005)
        val = 0.9 - 0.5 * distance - 0.2 * settings.input_dropout + 0.001 * run.split
        log = logger.begin(run)
        for epoch in range(1, settings.epochs + 1):
            self.epochs[-1] = epoch
            share = val * epoch / settings.epochs
            log.epoch(EpochValues(epoch, 1.0, share, None, None, 0.1))
        record = {"status": "success", "message": "", "test_accuracy": 1 - val, "val_accuracy": val}
        return self.change(run, record)


@pytest.fixture
def bowl(monkeypatch):
    found = Bowl()
    monkeypatch.setattr(tuning, "record_run", found)
    return found


def trials_of(path):
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    (study,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=study, storage=storage).trials


def results_of(path):
    """Parameters, state and value of the trials that count."""
    return [(t.params, t.state.name, t.value, t.intermediate_values)
            for t in trials_of(path) if t.state.name != "FAIL"]  # fmt: skip


def test_a_search_that_is_interrupted_and_resumed_equals_an_undisturbed_one(bowl, tmp_path, capsys):
    command = [*BASE, "--model", "grand-l", "--epochs", "20", "--trials", "16"]
    whole, parts = tmp_path / "whole.journal", tmp_path / "parts.journal"
    assert main([*command, "--study", str(whole)]) == 0
    right = results_of(whole)
    assert len(right) == 16 and {state for _, state, *_ in right} == {"COMPLETE", "PRUNED"}
    capsys.readouterr()
    for stop_at in (0, 3, len(bowl.runs)):
        bowl.runs.clear()
        bowl.stop_at = stop_at
        code = main([*command, "--study", str(parts)])
        assert code == 130 or (stop_at > 20 and code == 0)
        error = capsys.readouterr().err
        assert code == 0 or f"finished trials are kept in {parts}" in error
    bowl.stop_at = None
    assert main([*command, "--study", str(parts)]) == 0
    assert results_of(parts) == right
    failed = [t for t in trials_of(parts) if t.state.name == "FAIL"]
    assert len(failed) == 2
    bowl.runs.clear()
    assert main([*command, "--study", str(parts)]) == 0  # all there
    assert not bowl.runs
    other = tmp_path / "other.journal"
    assert main([*command, "--study", str(other), "--seed", "1"]) == 0
    assert results_of(other)[1:] != right[1:]


@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_while_the_journal_is_written_waits_for_it(bowl, tmp_path, ignored):
    study, write = tmp_path / "s.journal", JournalFileBackend.append_logs
    sent = []

    def interrupted(self, logs):
        if len(study.read_bytes().splitlines()) > 30 and not sent:
            sent.append(1)
            signal.raise_signal(signal.SIGINT)
        write(self, logs)

    command = [*BASE, "--model", "gcn", "--epochs", "5", "--trials", "4", "--study", str(study)]
    before = signal.getsignal(signal.SIGINT)
    try:
        if ignored:  # as in the background of a shell script
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(JournalFileBackend, "append_logs", interrupted)
            code = main(command)
    finally:
        signal.signal(signal.SIGINT, before)
    assert sent and code == (0 if ignored else 130)
    assert not list(tmp_path.glob("*.lock"))
    assert main(command) == 0
    assert len(results_of(study)) == 4


def test_the_best_settings_are_those_of_the_validation_nodes_of_later_splits(bowl, capsys):
    assert main([*BASE, "--model", "gcn", "--trials", "25", "--json"]) == 0
    out, err = capsys.readouterr()
    (line,) = out.splitlines()
    found = json.loads(line)
    assert {run.split for run in bowl.runs} == {100, 101}
    assert found["trials"] == 25 and found["pruned"] > 0 and found["failed"] == 0
    assert found["val_accuracy"] > found["start_val_accuracy"]
    complete = [run for run in bowl.runs if run.split == 101]
    best = min(complete, key=lambda run: abs(run.settings.lr - 0.005) + run.settings.input_dropout)
    assert found["settings"]["lr"] == best.settings.lr or found["settings"]["input_dropout"] < 0.3
    assert "best" in err and found["row"] in err
    first = bowl.runs[0]
    assert replace(first, split=0) == tuned_run("sbm", "gcn", 1)  # the present settings come first


def test_a_printed_row_gives_the_best_settings_where_it_is_pasted(bowl, capsys, monkeypatch):
    for model in ("grand++-l", "gcn", "sgc"):
        bowl.runs.clear()
        assert main([*BASE, "--model", model, "--trials", "4", "--epochs", "7", "--json"]) == 0
        out, err = capsys.readouterr()
        row = json.loads(out)["row"]
        assert f"    {row}\n" in err
        kind = ZOO[model].settings
        pasted = eval(f"{{{row}}}")
        monkeypatch.setattr(kind, "tuned_rows", {**kind.tuned_rows, **pasted})
        there = tuned_run("sbm", model, 1).settings.choices()
        assert any(run.settings.choices() | {"features": there["features"]} == there
                   for run in bowl.runs)  # fmt: skip
        monkeypatch.undo()
        monkeypatch.setattr(tuning, "record_run", bowl)


def test_a_pruned_trial_trains_no_further(bowl, tmp_path):
    study = tmp_path / "s.journal"
    assert main([*BASE, "--model", "gcn", "--epochs", "40", "--trials", "20",
                 "--study", str(study)]) == 0  # fmt: skip
    states = [t.state.name for t in trials_of(study)]
    assert states[:5] == ["COMPLETE"] * 5 and "PRUNED" in states
    assert sum(epoch == 40 for epoch in bowl.epochs) < 2 * len(states)
    assert any(12 <= epoch < 40 for epoch in bowl.epochs)


def test_failed_and_impossible_trials_count_and_are_never_the_best(bowl, capsys, tmp_path):
    def diverged(run, record):
        if run.settings.lr < 0.02:
            return {**record, "status": "diverged", "message": "NaN", "test_accuracy": None}
        return record

    bowl.change = diverged
    command = [*BASE, "--model", "grand-l", "--epochs", "10", "--trials", "14", "--json"]
    command += ["--parameter", "heads=3,4", "--study", str(tmp_path / "s.journal")]
    assert main(command) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["trials"] == 14 and found["failed"] > 1
    assert found["settings"]["lr"] >= 0.02 and found["settings"]["heads"] == 4
    assert "multiple of 'heads'" in err and "diverged: NaN" in err


def test_other_options_need_another_file(bowl, capsys, tmp_path):
    study = ["--study", str(tmp_path / "s.journal")]
    assert main([*BASE, "--model", "gcn", "--trials", "2", *study]) == 0
    capsys.readouterr()
    for more, words in (
        (["--epochs", "5"], "epochs: 100 there, 5 here"),
        (["--first-split", "110"], "splits: [100, 102] there, [110, 112] here"),
        (["--parameter", "lr=0.1,0.2"], "lr: "),
    ):
        assert main([*BASE, "--model", "gcn", "--trials", "3", *study, *more]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and words in error
    # Another model or data set is another study in the same file.
    assert main([*BASE, "--model", "sgc", "--trials", "2", *study]) == 0
    assert main([*BASE, "--model", "gcn", "--trials", "3", *study]) == 0


def test_a_torn_last_line_is_removed_and_another_file_is_refused(bowl, capsys, tmp_path):
    study, other = tmp_path / "s.journal", tmp_path / "runs.csv"
    command = [*BASE, "--model", "gcn", "--epochs", "5"]
    assert main([*command, "--trials", "2", "--study", str(study)]) == 0
    with study.open("a") as file:
        file.write('{"op_code":5,"worker_id"')  # killed while it wrote
    assert main([*command, "--trials", "3", "--study", str(study)]) == 0
    assert len(results_of(study)) == 3
    for content in ("a,b\n1,2\n", '{"dataset": "Cora"}\n'):
        other.write_text(content)
        capsys.readouterr()
        assert main([*command, "--study", str(other)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "expected a journal of 'grandpp tune'" in error
        assert other.read_text() == content
        assert not list(tmp_path.glob("*.lock"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--first-split", "99"], "at least 100"),
        (["--protocol", "no_val"], "no_val"),
        (["--parameter", "lr"], "name=low:high"),
        (["--parameter", "depth=1:2"], "'depth'"),
        (["--parameter", "time=1:2", "--time", "3"], "one place that sets 'time'"),
        (["--source-gain", "1"], "settings that grand-l has (got source_gain)"),
        (["--model", "poisson"], "poisson"),
        (["--trials", "0"], "positive integer"),
        (["--study", "nowhere/s.journal"], "existing folder"),
        (["--dataset", "NOSUCH"], "NOSUCH"),
        (["--labels-per-class", "1000"], "1000"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_two(bowl, capsys, more, words):
    assert main([*BASE, "--model", "grand-l", *more]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error
    assert not bowl.runs


def test_without_optuna_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main([*BASE, "--model", "grand-l"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install 'grandpp[tune]'" in error
    assert main(["--help"]) == 0


def test_every_data_set_has_a_search_of_its_own_on_real_runs(tmp_path, capsys):
    command = ["--dataset", "sbm", "KarateClub", "--labels-per-class", "1", "--splits", "1"]
    command += ["--protocol", "grand", "--model", "grand-l", "--time", "2", "--epochs", "3"]
    command += ["--parameter", "hidden=8,16", "--parameter", "attention_channels=8", "--json"]
    assert main([*command, "--trials", "2", "--study", str(tmp_path / "s"), "--quiet"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["dataset"] for row in found] == ["sbm", "KarateClub"]
    assert all(row["settings"]["time"] == 2.0 for row in found)
    assert all(0 < row["val_accuracy"] <= 1 for row in found)


def test_values_are_written_as_python_reads_them():
    row = settings_row("my set", {"lr": 1e-05, "hidden": 8, "learn_beta": True, "attention": "gat"})
    assert row == '"my set": {"lr": 1e-05, "hidden": 8, "learn_beta": True, "attention": "gat"},'
