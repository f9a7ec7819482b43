"""Following the models of grandpp label while they train."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from event_files import curves, session_of

from grandpp import NodeClassifier
from grandpp.estimator import label
from grandpp.training.command import run_command
from grandpp.training.loop import TrainingRun


@pytest.fixture
def files(tmp_path, data):
    """A graph in three files; in the folder ``logs`` beside them nothing is yet."""
    edges = data.edge_index[:, data.edge_index[0] < data.edge_index[1]].numpy()
    pd.DataFrame({"source": edges[0], "target": edges[1]}).to_csv(
        tmp_path / "papers.csv", index=False
    )
    features = pd.DataFrame(data.x.numpy(), columns=[f"f{k}" for k in range(12)])
    features.insert(0, "node", range(60))
    features.to_csv(tmp_path / "features.csv", index=False)
    known = np.flatnonzero(data.y.numpy() >= 0)
    labels = {"node": known, "label": [f"c{data.y[i]}" for i in known]}
    pd.DataFrame(labels).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def run(files, *argv):
    given = ["--edges", files / "papers.csv", "--features", files / "features.csv"]
    given += ["--labels", files / "labels.csv", "--quiet", *argv]
    return run_command(label.COMMAND, [str(word) for word in given])


def folders(files):
    return sorted({path.parent for path in (files / "logs").rglob("*tfevents*")})


@pytest.mark.parametrize("model", ["grand-l", "grand++-views-l"])
def test_each_model_of_an_ensemble_is_a_run_with_its_curves(files, model):
    pytest.importorskip("tensorboard")
    plain, logged = files / "plain.csv", files / "logged.csv"
    command = ["--model", model, "--ensemble", 2, "--seed", 4, "--epochs", 5]
    # The models of --evaluate and of the calibration are no runs of the log.
    log = ["--log", f"tensorboard:{files / 'logs'}", "--evaluate", 0.5]
    assert run(files, *command, "--out", plain) == 0
    assert run(files, *command, "--out", logged, *log) == 0
    assert logged.read_bytes() == plain.read_bytes()
    found = folders(files)
    assert [folder.name for folder in found] == ["split-0-seed-4", "split-0-seed-5"]
    assert found[0].parents[1].name == "papers-2-per-class-no_val"
    losses = []
    for seed, folder in enumerate(found, start=4):
        values, events = curves(folder)
        assert [step for step, _ in values["loss"]] == [1, 2, 3, 4, 5]
        assert [step for step, _ in values["evaluations/forward"]] == [1, 2, 3, 4, 5]
        assert "accuracy/validation" not in values  # there are no validation nodes
        total = sum(value for _, value in values["seconds/epoch"])
        assert 0 < total <= values["result/seconds"][0][1]
        settings = session_of(events)
        assert (settings["dataset"], settings["seed"]) == ("papers", seed)
        assert (settings["model"], settings["epochs"]) == (model, 5)
        losses.append([value for _, value in values["loss"]])
    assert losses[0] != losses[1]


def test_validation_nodes_have_a_curve_and_the_epoch_that_they_chose(files):
    pytest.importorskip("tensorboard")
    log = ["--log", f"tensorboard:{files / 'logs'}", "--validation", 0.5]
    assert run(files, "--model", "grand-l", "--epochs", 6, *log) == 0
    (folder,) = folders(files)
    values, _ = curves(folder)
    accuracy = [value for _, value in values["accuracy/validation"]]
    assert len(accuracy) == 6
    assert values["result/val_accuracy"][0][1] == pytest.approx(max(accuracy))
    assert values["result/best_epoch"][0][1] == 1 + accuracy.index(max(accuracy))


def test_a_model_without_training_is_a_run_of_epoch_zero(files):
    pytest.importorskip("tensorboard")
    log = ["--log", f"tensorboard:{files / 'logs'}", "--validation", 0.5]
    assert run(files, "--model", "poisson", *log) == 0
    (folder,) = folders(files)
    values, _ = curves(folder)
    assert "loss" not in values
    assert [step for step, _ in values["accuracy/validation"]] == [0]


class Kept:
    """A logger of a user."""

    def __init__(self):
        self.runs, self.epochs, self.records = [], [], []

    def begin(self, run):
        self.runs.append((run.split, run.seed))
        return self

    def epoch(self, values):
        self.epochs.append(values)

    def end(self, record):
        self.records.append(record)


def test_fit_takes_any_logger_and_changes_no_probability(data):
    kept = Kept()
    followed = NodeClassifier("grand-l", epochs=3, ensemble=2).fit(data, logger=kept)
    alone = NodeClassifier("grand-l", epochs=3, ensemble=2).fit(data)
    np.testing.assert_array_equal(followed.predict_proba(), alone.predict_proba())
    assert kept.runs == [(0, 0), (0, 1)]
    assert [values.epoch for values in kept.epochs] == [1, 2, 3, 1, 2, 3]
    assert [(r["status"], r["epochs"], r["seed"]) for r in kept.records] == [
        ("success", 3, 0), ("success", 3, 1)
    ]  # fmt: skip
    assert json.dumps(kept.records)


def test_the_log_of_an_interrupted_fit_ends_without_a_record(data, monkeypatch):
    kept = Kept()

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingRun, "train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        NodeClassifier("grand-l", epochs=3).fit(data, logger=kept)
    assert kept.records == [None]


@pytest.mark.parametrize("text", ["wandb:x", "tensorboard", "tensorboard:"])
def test_a_log_that_is_not_known_is_one_line_and_exit_code_two(files, text, capsys):
    with pytest.raises(SystemExit) as ended:
        run(files, "--log", text)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"expected tensorboard:DIR (got '{text}')" in error


def test_without_the_package_or_with_a_file_in_its_place_one_line_says_what_to_do(
    files, monkeypatch, capsys
):
    log = ["--log", f"tensorboard:{files / 'labels.csv'}"]
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(SystemExit) as ended:
        run(files, *log)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.count("\n") == 1 and "pip install 'grandpp[log]'" in error
    monkeypatch.undo()
    pytest.importorskip("tensorboard")
    with pytest.raises(SystemExit) as ended:
        run(files, *log)
    assert ended.value.code == 2 and "expected a folder" in capsys.readouterr().err
