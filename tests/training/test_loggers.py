"""Logs of runs: what a logger gets, and event files of TensorBoard read back."""

from __future__ import annotations

import json
import pickle
import sys

import pytest
import torch
from commands import main_of
from event_files import curves, session_of
from sharded import shards_of, undirected

from grandpp.data import sbm
from grandpp.distributed import train_command
from grandpp.studies.low_label import classify, plan_runs
from grandpp.training import read_records, run_sweep
from grandpp.training.loggers import parse_logger
from grandpp.training.loop import TrainingRun

CPU = torch.device("cpu")
SMALL = ["--dataset", "sbm", "--labels-per-class", "1", "--epochs", "3", "--quiet"]

main = main_of(classify.COMMAND, "grandpp classify")


class Kept:
    """A logger of a user: what it implements is all that there is."""

    def __init__(self):
        self.epochs, self.records = {}, {}

    def begin(self, run):
        return KeptRun(self, (run.model, run.split))


class KeptRun:
    def __init__(self, kept, name):
        self.kept, self.name = kept, name
        kept.epochs[name] = []

    def epoch(self, values):
        self.kept.epochs[self.name].append(values)

    def end(self, record):
        self.kept.records[self.name] = record


@pytest.fixture(scope="module")
def graph():
    return sbm(300, 700, num_classes=3, num_features=64, words_per_node=8, seed=1)


def swept(graph, models, logger=None, **options):
    runs = plan_runs([graph], models, [1], [0, 1], epochs=3, time=2.0)
    found = []
    run_sweep(runs, CPU, found.append, progress=False, logger=logger, **options)
    return {(r["model"], r["split"]): r for r in found}


COSTS = ("seconds", "peak_memory_mb")


@pytest.mark.parametrize(
    ("models", "batch"), [(["grand-l", "gcn", "poisson"], None), (["grand-l"], 2)]
)
def test_a_logger_gets_every_epoch_and_the_record_and_changes_nothing(graph, models, batch):
    kept = Kept()
    records = swept(graph, models, kept, workers=1, batch_splits=batch)
    assert kept.records == records and len(records) == 2 * len(models)
    for name, record in swept(graph, models, workers=1, batch_splits=batch).items():
        same = {k for k, v in record.items() if v == records[name][k]}
        assert set(record) - same <= set(COSTS)
        epochs = kept.epochs[name]
        trained = name[0] != "poisson"
        assert [values.epoch for values in epochs] == ([1, 2, 3] if trained else [0])
        assert max(values.val_accuracy for values in epochs) == record["val_accuracy"]
        assert all((values.loss is not None) == trained for values in epochs)
        assert all(values.loss is None or 0 < values.loss < 5 for values in epochs)
        assert 0 < sum(values.seconds for values in epochs) <= records[name]["seconds"]
        if name[0] == "grand-l":
            mean = sum(values.nfe_forward for values in epochs) / 3
            assert mean == pytest.approx(record["nfe_forward"])
            assert all(values.nfe_backward is not None for values in epochs)
        else:
            assert all(values.nfe_forward is None for values in epochs)


def test_the_log_of_an_interrupted_run_ends_without_a_record(graph, monkeypatch):
    kept = Kept()

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingRun, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        swept(graph, ["gcn"], kept, workers=1)
    assert kept.records == {("gcn", 0): None}


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_event_files_have_the_curves_and_results_of_every_run(tmp_path, workers, capsys):
    pytest.importorskip("tensorboard")
    logs, out = tmp_path / "logs", tmp_path / "runs.jsonl"
    command = [*SMALL, "--model", "grand-l", "gcn", "--time", "2", "--workers", workers]
    log = ["--log", f"tensorboard:{logs}"]
    assert main([*command, "--splits", "2", "--out", str(out), *log]) == 0
    records = read_records(out)
    folders = {path.parent for path in logs.rglob("*tfevents*")}
    assert len(folders) == len(records) == 4
    for record in records:
        place = f"{record['model']}-{record['config_hash']}/split-{record['split']}-seed-0"
        found, events = curves(logs / "sbm-1-per-class-grand" / place)
        assert [step for step, _ in found["loss"]] == [1, 2, 3]
        best = max(value for _, value in found["accuracy/validation"])
        assert best == pytest.approx(record["val_accuracy"])
        assert found["result/test_accuracy"][0][1] == pytest.approx(record["test_accuracy"])
        assert ("evaluations/forward" in found) == (record["model"] == "grand-l")
        settings = session_of(events)
        assert settings["model"] == record["model"] and settings["epochs"] == 3
        assert settings["lr"] == pytest.approx(record["config"]["lr"])
    capsys.readouterr()
    assert main([*command, "--splits", "1", "--json"]) == 0  # without a log
    same = [json.loads(line)["config_hash"] for line in capsys.readouterr().out.splitlines()]
    assert set(same) == {record["config_hash"] for record in records}


def test_a_run_that_is_repeated_after_an_interruption_has_one_curve(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    command = [*SMALL, "--model", "gcn", "--splits", "1", "--log", f"tensorboard:{tmp_path}"]
    train = TrainingRun.train_epoch

    def interrupted(self, optimizer):
        if self.val_accuracy is not None and len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        train(self, optimizer)

    calls = []
    monkeypatch.setattr(TrainingRun, "train_epoch", interrupted)
    assert main(command) == 130
    monkeypatch.setattr(TrainingRun, "train_epoch", train)
    assert main(command) == 0
    (folder,) = {path.parent for path in tmp_path.rglob("*tfevents*")}
    found, _ = curves(folder)
    assert [step for step, _ in found["loss"]] == [1, 2, 3]


def test_training_on_shards_is_logged(tmp_path, capsys):
    pytest.importorskip("tensorboard")
    train = main_of(train_command.COMMAND, "grandpp train-sharded")
    folder, logs = shards_of(undirected(), tmp_path, 1), tmp_path / "logs"
    arguments = [str(folder), "--epochs", "3", "--quiet", "--time", "2"]
    out = ["--out", str(tmp_path / "runs.jsonl")]
    assert train([*arguments, *out, "--log", f"tensorboard:{logs}"]) == 0
    (where,) = {path.parent for path in logs.rglob("*tfevents*")}
    found, _ = curves(where)
    (record,) = read_records(tmp_path / "runs.jsonl")
    assert [step for step, _ in found["loss"]] == [1, 2, 3]
    best = max(value for _, value in found["accuracy/validation"])
    assert best == pytest.approx(record["val_accuracy"])


@pytest.mark.parametrize("text", ["wandb:x", "tensorboard", "tensorboard:"])
def test_a_log_that_is_not_known_is_one_line_and_exit_code_two(text, capsys):
    assert main([*SMALL, "--log", text]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"expected tensorboard:DIR (got '{text}')" in error


def test_without_the_package_or_with_a_file_in_its_place_one_line_says_what_to_do(
    monkeypatch, capsys, tmp_path
):
    (tmp_path / "file").touch()
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main([*SMALL, "--log", f"tensorboard:{tmp_path / 'file'}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install 'grandpp[log]'" in error
    monkeypatch.undo()
    pytest.importorskip("tensorboard")
    assert main([*SMALL, "--log", f"tensorboard:{tmp_path / 'file'}"]) == 2
    assert "expected a folder" in capsys.readouterr().err


def test_a_chosen_logger_survives_pickling(tmp_path):
    pytest.importorskip("tensorboard")
    logger = parse_logger(f"tensorboard:{tmp_path}")
    assert pickle.loads(pickle.dumps(logger)).folder == tmp_path
