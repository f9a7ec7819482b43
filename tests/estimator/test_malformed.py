"""Malformed input to the commands: one line says what is wrong, exit code 2, no output file."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from grandpp.estimator import NodeClassifier, label, predict, suggest
from grandpp.training.command import run_command

EDGES = "source,target\na,b\nb,c\nc,d\nd,e\ne,f\n"
FEATURES = "node,x,y\na,1,0\nb,1,0\nc,1,1\nd,0,1\ne,0,1\nf,0,1\n"
LABELS = "node,label\na,red\nf,blue\n"
PROGRAMS = {"label": label, "predict": predict, "suggest": suggest}


class Evil:
    def __reduce__(self):
        return (os.system, ("echo run",))


def saved(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def npy(value):
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


def npz(matrix):
    file = io.BytesIO()
    sp.save_npz(file, sp.csr_matrix(matrix))
    return file.getvalue()


@pytest.fixture(scope="session")
def model(tmp_path_factory, make_graph):
    """A model that was fitted to twelve features."""
    path = tmp_path_factory.mktemp("saved") / "model.pt"
    NodeClassifier("mlp", epochs=1, calibration="none").fit(make_graph()).save(path)
    return path


# Command, files that replace the good ones, options, and what the line says.
BAD_FILES = [
    ("label", {"edges.csv": ""}, [], "edges.csv: expected data (got an empty file)"),
    ("label", {"features.csv": ""}, [], "features.csv: expected data (got an empty file)"),
    ("label", {"labels.csv": ""}, [], "labels.csv: expected data (got an empty file)"),
    ("label", {"edges.csv": None}, [], "edges.csv"),
    ("label", {"edges.csv": pickle.dumps(Evil())}, [], "edges.csv"),
    ("label", {"edges.csv": EDGES + "f\n"}, [], "edges.csv:7: expected 2 cells as in the header"),
    ("label", {"features.csv": FEATURES.replace("c,1,1", "c,nan,1")}, [], "features.csv:4: "),
    ("label", {"features.csv": FEATURES.replace("c,1,1", "c,inf,1")}, [], "features.csv:4: "),
    ("label", {"features.csv": FEATURES + "a,0,0\n"}, [], "features.csv:8: "),
    ("label", {"features.csv": "node,x\np,1\nq,2\n"}, [],
     "expected node ids of {folder}/edges.csv"),
    ("label", {"labels.csv": "node,label\nzz,red\nyy,blue\n"}, [],
     "expected node ids of {folder}/edges.csv"),
    ("label", {"labels.csv": LABELS + "a,blue\n"}, [], "labels.csv:4: "),
    ("label", {"labels.csv": LABELS.replace("blue", "red")}, [],
     "expected labelled nodes of at least two classes (got one, 'red')"),
    ("label", {"labels.csv": "node,label\na,7\nf,7\n"}, [],
     "expected labelled nodes of at least two classes (got one, '7')"),
    ("label", {"labels.csv": "node,label\na,\nf,-1\n"}, [],
     "labels.csv: expected a label of some node (got none)"),
    ("label", {"labels.csv": LABELS}, ["--label-column", "colour"], "colour"),
    ("label", {}, ["--source-column", "begin"], "begin"),
    ("label", {}, ["--node-column", "name"], "name"),
    ("suggest", {"edges.csv": "a\nb\n"}, [], "edges.csv:1: expected two columns"),
    ("suggest", {}, ["--number", "5"],
     "from 1 to the number of nodes without a label, 4 (got 5)"),
    ("suggest", {"features.csv": FEATURES.replace("f,0,1", "f,0,one\n")}, [], "features.csv"),
    ("predict", {}, [], "expected 12 features per node (got 2)"),
    ("predict", {"model.pt": b"no model"}, [], "expected a model that NodeClassifier.save wrote"),
    ("predict", {"model.pt": b""}, [], "expected a model that NodeClassifier.save wrote"),
    ("predict", {"model.pt": pickle.dumps(Evil())}, [],
     "expected a model that NodeClassifier.save wrote"),
    ("predict", {"model.pt": saved({"weight": torch.zeros(2)})}, [],
     "expected a model that NodeClassifier.save wrote"),
    ("predict", {"model.pt": None}, [], "model.pt"),
    ("label", {}, ["--epochs", "0"], "positive"),
    ("label", {}, ["--ensemble", "-1"], "positive"),
    ("label", {}, ["--model", "lstm"], "lstm"),
    ("label", {}, ["--evaluate", "1.5"], "(0, 1) (got '1.5')"),
    ("label", {}, ["--evaluate", "0.5"], "expected labels enough to hold a share of 0.5 out"),
    ("label", {}, ["--validation", "0"], "share in (0, 1)"),
    ("label", {}, ["--edges", "-"], "expected the name of a file (got -, standard input is none)"),
    ("label", {}, ["--out", "out.parquet"], "ends in .csv for the table (got out.parquet)"),
    ("suggest", {}, ["--out", "out.xlsx"], "ends in .csv for the table (got out.xlsx)"),
    ("predict", {}, ["--out", "out.csv.gz"], "ends in .csv for the table (got out.csv.gz)"),
    ("label", {}, ["--out", "no/out.csv"], "expected an existing folder for no/out.csv"),
]  # fmt: skip


@pytest.fixture
def good(tmp_path, model):
    """A folder with good files."""
    for name, text in (("edges", EDGES), ("features", FEATURES), ("labels", LABELS)):
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "model.pt").write_bytes(model.read_bytes())
    return tmp_path


def refused(folder, program, options, capfd):
    """Run a command that must fail; return its line. It leaves all files as they were."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    argv = ["--quiet"]
    given = {"edges": "edges.csv", "features": "features.csv", "labels": "labels.csv"}
    if program == "predict":
        given["model"] = "model.pt"
    if "--out" not in options:
        given["out"] = "out.csv"
    for name, file in given.items():
        if f"--{name}" not in options:
            argv += [f"--{name}", str(folder / file)]
    try:
        code = run_command(PROGRAMS[program].COMMAND, [*argv, *options])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    err = capfd.readouterr().err
    assert err.startswith(f"grandpp {program}: error: ")
    assert err.count("\n") == 1, err
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    return err


@pytest.mark.parametrize(("program", "files", "options", "words"), BAD_FILES)
def test_a_malformed_file_or_option(good, program, files, options, words, capfd):
    for name, content in files.items():
        if content is None:
            (good / name).unlink()
        else:
            (good / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert words.format(folder=good) in refused(good, program, options, capfd)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", ["edges", "features", "labels"])
def test_an_output_in_the_place_of_an_input(good, program, name, capfd):
    out = str(good / f"{name}.csv")
    expected = f"expected an output that replaces no input (got {out})"
    assert expected in refused(good, program, ["--out", out], capfd)


def test_an_output_in_the_place_of_an_input_by_another_name(good, capfd):
    (good / "link.csv").symlink_to(good / "labels.csv")
    out = str(good / "link.csv")
    assert "replaces no input" in refused(good, "label", ["--out", out], capfd)
    (good / "copy.csv").hardlink_to(good / "edges.csv")
    for flag in ("--save", "--out"):
        assert "replaces no input" in refused(good, "label", [flag, str(good / "copy.csv")], capfd)
    inside = ["--edges", str(good), "--out", str(good / "labels.csv")]
    assert "replaces no input" in refused(good, "label", inside, capfd)
    model = ["--out", str(good / "model.pt")]
    assert "replaces no input" in refused(good, "predict", model, capfd)


def test_a_folder_in_the_place_of_a_file(good, capfd):
    (good / "box").mkdir()
    box = str(good / "box")
    assert "a file edges.csv" in refused(good, "label", ["--edges", box], capfd)
    assert "box" in refused(good, "label", ["--features", box], capfd)
    assert "box" in refused(good, "label", ["--labels", box], capfd)
    assert "box" in refused(good, "predict", ["--model", box], capfd)
    assert "expected a file or nothing" in refused(good, "label", ["--out", box], capfd)
    assert not list((good / "box").iterdir())


def test_features_of_another_format_that_do_not_fit(good, capfd):
    (good / "x.npy").write_bytes(npy(np.ones((9, 2))))
    (good / "x.npz").write_bytes(npz(np.ones((9, 2))))
    (good / "x.json").write_text('{"a": [1, 2')
    for name in ("x.npy", "x.npz", "x.json"):
        assert name in refused(good, "label", ["--features", str(good / name)], capfd)


def test_numbers_as_names_of_classes_are_no_error(good):
    (good / "labels.csv").write_text("node,label\na,10\nf,9\n")
    argv = [f"--{name}={good / name}.csv" for name in ("edges", "features", "labels")]
    argv += ["--out", str(good / "out.csv"), "--epochs", "1", "--quiet"]
    assert run_command(label.COMMAND, argv) == 0
    assert "p(9),p(10)" in (good / "out.csv").read_text()


@pytest.mark.parametrize("program", PROGRAMS)
def test_standard_output_is_no_file(good, program, capfd):
    assert "expected the name of a file (got -" in refused(good, program, ["--out", "-"], capfd)
    assert not Path("-").exists()


def test_labels_that_are_nowhere_are_asked_for(good, capfd):
    (good / "labels.csv").unlink()
    argv = ["--edges", good / "edges.csv", "--features", good / "features.csv", "--quiet"]
    assert run_command(label.COMMAND, [str(word) for word in argv]) == 2
    words = "expected --labels, or labels in the file of the graph (got neither)"
    assert capfd.readouterr().err == f"grandpp label: error: {words}\n"


@pytest.mark.parametrize("program", ["label", "suggest", "predict"])
def test_a_folder_without_permission_is_named_before_the_work(good, program, monkeypatch, capfd):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    assert "expected a folder that may be written to for" in refused(good, program, [], capfd)
