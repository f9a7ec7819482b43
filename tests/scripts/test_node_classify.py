"""The main job as a user meets it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import scipy.sparse as sp
import torch
from commands import main_of

import grandpp.data.graphs as graphs
from grandpp.data import sbm
from grandpp.data.download import DownloadError
from grandpp.studies.low_label.classify import COMMAND
from grandpp.training import read_records, record_key
from grandpp.training.loop import TrainingRun

SCRIPT = Path(__file__).parents[2] / "scripts" / "node_classify.py"
DATA = os.environ.get("GRANDPP_DATA")
FAST = ["--splits", "2", "--epochs", "3", "--time", "2", "--quiet"]


@pytest.fixture
def main():
    return main_of(COMMAND, "node_classify")


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No data files, no network, and a small embedded set."""
    monkeypatch.delenv("GRANDPP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def refuse(*args, **kwargs):
        raise DownloadError("no network")

    monkeypatch.setattr("grandpp.data.locate.download_missing", refuse)
    monkeypatch.setattr(
        graphs, "sbm", lambda: sbm(1600, 3400, num_classes=3, num_features=64, words_per_node=8)
    )


def test_main_job_without_files_or_network_runs_on_the_embedded_set_and_says_so(main, capsys):
    assert main(["--labels-per-class", "1", *FAST]) == 0
    out, err = capsys.readouterr()
    assert "embedded synthetic set 'sbm'" in err
    assert out.startswith("sbm with 1 label per class, protocol grand")
    assert "grand++-l" in out
    assert "paired diff. to grand-l" in out


def test_too_little_memory_is_one_line_that_says_what_is_kept(main, capsys, monkeypatch):
    def fails(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(TrainingRun, "train_epoch", fails)
    command = ["--labels-per-class", "1", "--model", "gcn", "--dataset", "KarateClub"]
    assert main([*command, "--protocol", "no_val", *FAST]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "memory did not suffice: take" in error
    assert error.endswith("; 0 finished runs are shown\n")


def test_json_prints_one_complete_record_per_run_and_nothing_else(main, capsys):
    assert main(["--labels-per-class", "2", "--json", "--model", "grand-l", *FAST]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(records) == 2
    fields = {"dataset", "labels_per_class", "model", "split", "seed", "protocol", "test_accuracy",
              "val_accuracy", "best_epoch", "nfe_forward", "nfe_backward", "seconds",
              "peak_memory_mb", "status", "config", "config_hash", "versions",
              "git_commit"}  # fmt: skip
    for split, record in enumerate(records):
        assert fields <= set(record)
        assert (record["dataset"], record["split"], record["status"]) == ("sbm", split, "success")
        assert 0 <= record["test_accuracy"] <= 1


def test_the_best_time_is_in_the_record_and_in_a_column_of_the_table(main, capsys):
    arguments = ["--labels-per-class", "2", "--json", "--model", "grand-l", "gcn", "--best-time",
                 *FAST]  # fmt: skip
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    assert {r["status"] for r in records} == {"success"}
    for r in records:
        assert (r["best_time_test_accuracy"] is not None) == (r["model"] == "grand-l")
    looked = [r for r in records if r["model"] == "grand-l"]
    assert all(r["best_time_val_accuracy"] >= r["val_accuracy"] for r in looked)
    mean = sum(r["best_time_test_accuracy"] for r in looked) / len(looked)
    assert "at best time" in err
    assert f"{100 * mean:.2f} %" in err


def test_binary_features_are_one_option_of_all_models_and_resume(
    main, capsys, tmp_path, monkeypatch
):
    weighted = sbm(1600, 3400, num_classes=3, num_features=64, words_per_node=8)
    words = weighted.clone()
    words.x = (words.x != 0).float()
    weighted.x *= 0.5 + torch.rand(1600, 1, generator=torch.Generator().manual_seed(0))
    models = ["grand-l", "grand++-l", "grand-nl", "gcn", "gat", "sage", "monet", "sgc", "mlp"]
    out = tmp_path / "runs.jsonl"
    for graph, options in ((weighted, ["--features", "binary"]), (words, [])):
        monkeypatch.setattr(graphs, "sbm", lambda graph=graph: graph)
        which = ["--dataset", "sbm", "--model", *models, *options, *FAST, "--splits", "1"]
        arguments = ["--labels-per-class", "5", "--out", str(out), *which]
        for _ in range(2):  # the second call finds every record
            assert main(arguments) == 0
    capsys.readouterr()
    records = read_records(out)
    assert len(records) == len({r["config_hash"] for r in records}) == 2 * len(models)
    found = {(r["model"], r["config"]["features"]): r["val_accuracy"] for r in records}
    for model in models:
        as_loaded = "rows" if model == "grand-nl" else None
        assert found[model, "binary"] == found[model, as_loaded], model


def test_models_on_rewired_graphs_run_beside_those_on_the_graph_itself(main, capsys):
    arguments = ["--labels-per-class", "2", "--json", "--model", "grand-nl-rw", "--model",
                 "grand-l", "--rewiring", "two_hop", *FAST]  # fmt: skip
    assert main(arguments) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = [(r["model"], r["config"].get("rewiring"), r["status"]) for r in records]
    assert found == 2 * [("grand-nl-rw", "two_hop", "success"), ("grand-l", None, "success")]


def test_a_second_call_repeats_nothing_and_reports_everything(main, capsys, tmp_path):
    out = tmp_path / "runs.jsonl"
    arguments = ["--labels-per-class", "1", "--model", "gcn", "--out", str(out), *FAST]
    assert main(arguments) == 0
    first = out.read_text()
    assert main([*arguments, "--model", "mlp"]) == 0
    assert out.read_text().startswith(first)
    assert out.read_text().count("\n") == 4
    table = capsys.readouterr().out
    assert "mlp" in table
    assert "gcn" in table


def test_batches_report_what_single_runs_report(main, capsys, tmp_path):
    arguments = ["--labels-per-class", "1", "2", "--model", "grand-l", "grand++-l", "--json"]
    outputs, out = [], str(tmp_path / "runs.jsonl")
    for more in ([], ["--batch-splits", "2", "--out", out], ["--batch-splits", "3", "--out", out]):
        assert main([*arguments, *more, *FAST]) == 0
        names = ("labels_per_class", "model", "split", "config_hash", "test_accuracy")
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        outputs.append(sorted(tuple(map(r.get, names)) for r in lines))
    assert len(outputs[0]) == 8
    assert outputs[0] == outputs[1] == outputs[2]
    assert len(read_records(Path(out))) == 8


def test_one_command_is_a_whole_table(main, capsys):
    arguments = ["--dataset", "sbm", "KarateClub", "--labels-per-class", "2", "1", "--protocol",
                 "no_val", "--model", "gcn", "mlp"]  # fmt: skip
    assert main([*arguments, *FAST]) == 0
    blocks = [line for line in capsys.readouterr().out.splitlines() if "per class" in line]
    assert blocks == [f"{name} with {k}, protocol no_val" for name in ("sbm", "KarateClub")
                      for k in ("2 labels per class", "1 label per class")]  # fmt: skip


def test_lists_may_be_given_at_once_or_one_by_one(main, capsys):
    outputs = []
    for arguments in (
        ["--dataset", "sbm", "KarateClub", "--model", "gcn", "mlp"],
        ["--dataset", "sbm", "--dataset", "KarateClub", "--model", "gcn", "--model", "mlp"],
    ):
        main([*arguments, "--labels-per-class", "1", "--protocol", "no_val", "--json", *FAST])
        lines = capsys.readouterr().out.splitlines()
        names = ("dataset", "model", "split", "test_accuracy")
        outputs.append([tuple(map(json.loads(line).get, names)) for line in lines])
    assert len(outputs[0]) == 8
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--labels-per-class", "1", "--patience", "2", "--protocol", "no_val"],
            "validation nodes",
        ),
        (["--labels-per-class", "1", "10000"], "class 0 has"),
        (["--labels-per-class", "1", "--backend", "dask"], "dask"),
        (
            ["--labels-per-class", "1", "--batch-splits", "2", "--model", "gcn"],
            "expected linear GRAND or GRAND++ with solver exact",
        ),
        (
            ["--labels-per-class", "1", "--batch-splits", "2", "--workers", "2"],
            "one worker for runs in batches",
        ),
        (["--labels-per-class", "1", "--batch-splits", "0"], "positive integer (got '0')"),
        (["--labels-per-class", "1", "--workers", "all"], "integer or auto (got 'all')"),
        (["--labels-per-class", "1", "--threads", "0"], "positive integer (got '0')"),
        (["--labels-per-class", "0"], "positive integer (got '0')"),
        (["--labels-per-class", "10000"], "class 0 has"),
        (["--labels-per-class", "1", "--dataset", "Corra"], "unknown data set 'Corra'"),
        (["--labels-per-class", "1", "--dataset", "Cora"], "Cora was not found: looked in"),
        (["--labels-per-class", "1", "--solver", "magic"], "'magic'"),
        (["--labels-per-class", "1", "--model", "magic"], "'magic'"),
        (["--labels-per-class", "1", "--time", "-3"], "'time' to be finite and not negative"),
        (["--labels-per-class", "1", "--source-gain", "nan"], "'source_gain'"),
        (["--labels-per-class", "1", "--rewiring", "gdc"], "a model with rewiring"),
        (["--labels-per-class", "1", "--model", "gcn", "--best-time"], "a model with best_time"),
        (
            [
                "--labels-per-class",
                "1",
                "--model",
                "grand-l",
                "--model",
                "grand-nl",
                "--solver",
                "exact",
            ],
            "mode='linear'",
        ),
        (
            [
                "--labels-per-class",
                "1",
                "--model",
                "gcn",
                "--model",
                "grand++-l",
                "--source-gain",
                "inf",
            ],
            "'source_gain'",
        ),
        (["--labels-per-class", "10", "--dataset", "KarateClub"], "but needs 10"),
        ([], "--labels-per-class"),
    ],
)
def test_bad_input_is_one_line_exit_code_two_and_leaves_no_file(
    main, capsys, tmp_path, arguments, words
):
    out = tmp_path / "runs.jsonl"
    assert main([*arguments, "--out", str(out), *FAST[:4], "--quiet"]) == 2
    message = capsys.readouterr().err.splitlines()
    errors = [line for line in message if "notice" not in line]
    assert len(errors) == 1, message
    assert words in errors[0]
    assert errors[0].startswith("node_classify: error: ")
    assert not out.exists()


def test_a_split_without_test_nodes_is_said_and_leaves_no_nan(main, capsys, tmp_path, monkeypatch):
    tiny = sbm(9, 12, num_classes=3, class_sizes=[3, 3, 3], num_features=8, words_per_node=3)
    monkeypatch.setattr(graphs, "sbm", lambda: tiny)
    out = tmp_path / "runs.jsonl"
    arguments = ["--dataset", "sbm", "--labels-per-class", "3", "--protocol", "no_val"]
    assert main([*arguments, "--model", "mlp", "--json", "--out", str(out), *FAST]) == 0
    printed, err = capsys.readouterr()
    assert err.count("node_classify: notice: no test accuracy: the split has no test node") == 1
    for text in (printed, out.read_text()):
        for line in text.splitlines():
            record = json.loads(line, parse_constant=pytest.fail)
            assert (record["status"], record["test_accuracy"]) == ("success", None)


def test_a_foreign_out_file_or_folder_is_refused_and_kept(main, capsys, tmp_path):
    out = tmp_path / "notes.txt"
    out.write_text("my notes")
    for path in (out, tmp_path / "nowhere" / "runs.jsonl"):
        assert main(["--labels-per-class", "1", "--out", str(path), *FAST]) == 2
    assert out.read_text() == "my notes"


SWEEP = ["--dataset", "sbm", "--labels-per-class", "1", "2", "--model", "mlp", "--epochs", "10",
         "--splits", "12", "--quiet", "--workers", "2"]  # fmt: skip


def start(out, *arguments):
    """The script as a process of its own, in a group of its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(out.parent), "OMP_NUM_THREADS": "1",
                   "TMPDIR": str(out.parent)}  # fmt: skip
    environment.pop("GRANDPP_DATA", None)
    command = [sys.executable, str(SCRIPT), *arguments, "--out", str(out)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, start_new_session=True)  # fmt: skip


def wait_for_lines(out, number, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if out.exists() and out.read_text().count("\n") >= number:
            break
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[1]


def accuracies(out):
    """Every record's accuracies by its run; a run that is there twice fails."""
    records = read_records(out)
    found = {record_key(r): (r["test_accuracy"], r["last_test_accuracy"]) for r in records}
    assert len(found) == len(records)
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped by signals")
def test_a_sweep_that_is_interrupted_and_killed_goes_on_to_the_same_file(main, tmp_path):
    out, alone = tmp_path / "runs.jsonl", tmp_path / "alone.jsonl"
    process = start(out, *SWEEP)
    wait_for_lines(out, 1, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    finished = out.read_text()
    assert 1 <= finished.count("\n") < 24

    process = start(out, *SWEEP)
    wait_for_lines(out, finished.count("\n") + 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert out.read_text().startswith(finished)
    assert len(accuracies(out)) < 24

    # The fixture's small set is not the one that the processes drew.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "sbm", sbm)
        for path in (out, alone):
            assert main([*SWEEP[:-2], "--out", str(path)]) == 0
    assert accuracies(out) == accuracies(alone)
    assert len(accuracies(out)) == 24


@pytest.mark.slow
def test_two_commands_share_a_file_and_a_plan(main, monkeypatch, tmp_path):
    out, alone = tmp_path / "runs.jsonl", tmp_path / "alone.jsonl"
    monkeypatch.setattr(graphs, "sbm", sbm)
    process = start(out, *SWEEP[:-2])
    wait_for_lines(out, 1, process)
    assert main([*SWEEP[:-2], "--out", str(out)]) == 0
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert main([*SWEEP[:-2], "--out", str(alone)]) == 0
    assert accuracies(out) == accuracies(alone)
    assert len(accuracies(out)) == 24


class Evil:
    """Unpickling this creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.realdata
@pytest.mark.skipif(not DATA, reason="GRANDPP_DATA is not set")
@pytest.mark.parametrize("kind", ["corrupted", "evil"])
def test_a_corrupted_or_evil_raw_file_is_named_and_never_executed(main, capsys, tmp_path, kind):
    shutil.copytree(Path(DATA) / "Cora", tmp_path / "Cora")
    target, marker = tmp_path / "Cora/raw/ind.cora.tx", tmp_path / "marker"
    target.chmod(0o644)
    if kind == "evil":
        target.write_bytes(pickle.dumps(Evil(marker)))
    else:
        target.write_bytes(target.read_bytes()[:-7])
    for dataset in ([], ["--dataset", "Cora"]):
        assert main(["--labels-per-class", "1", "--root", str(tmp_path), *dataset, *FAST]) == 2
        error = capsys.readouterr().err
        assert "ind.cora.tx" in error
        assert error.count("\n") == 1
        assert not marker.exists()


@pytest.mark.realdata
@pytest.mark.skipif(not DATA, reason="GRANDPP_DATA is not set")
def test_grand_reaches_its_accuracy_on_real_cora(main, capsys):
    main(["--labels-per-class", "20", "--dataset", "Cora", "--model", "grand-l", "--splits", "1",
          "--epochs", "60", "--json", "--quiet", "--root", DATA])  # fmt: skip
    record = json.loads(capsys.readouterr().out)
    assert record["test_accuracy"] >= 0.80


def test_nodes_chosen_by_coverage_are_studied_beside_random_splits(main, capsys):
    words = ["--labels-per-class", "1", "--model", "gcn", "--labels-chosen", "by=coverage", *FAST]
    assert main([*words, "--protocol", "no_val"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("sbm with 1 label per class, protocol no_val")
    assert "nodes chosen by coverage" in out and "classes met" in out
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    assert [r["labels_chosen"] for r in records].count("coverage") == 2
    assert {r["protocol"] for r in records if r["labels_chosen"]} == {"no_val"}
    assert "compares like with like" in err
    assert main(["--labels-per-class", "1", "--labels-chosen", "by=luck", *FAST]) == 2
    assert "by=luck" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_a_graph_of_ones_own_is_studied_and_its_small_pool_is_told(main, capsys, tmp_path, kind):
    rng = np.random.default_rng(0)
    label = np.arange(90) % 3
    near = rng.random((90, 90)) < np.where(label[:, None] == label, 0.2, 0.02)
    x = rng.random((90, 8)) + np.eye(8)[label]
    ends = np.argwhere(np.triu(near, 1))
    if kind == "npz":
        path = tmp_path / "my.npz"
        adjacency, features = sp.coo_matrix((np.ones(len(ends)), ends.T), (90, 90)), x
        parts = {"adj": adjacency.tocsr(), "attr": sp.csr_matrix(features)}
        arrays = {
            f"{name}_{part}": getattr(matrix, part)
            for name, matrix in parts.items()
            for part in ("data", "indices", "indptr", "shape")
        }
        np.savez(path, labels=label, **arrays)
    else:
        path = tmp_path / "mine"
        path.mkdir()
        np.savetxt(path / "edges.csv", ends, "%d", ",", header="source,target", comments="")
        rows = [f"{i}," + ",".join(map(str, row)) for i, row in enumerate(x)]
        head = "node," + ",".join(f"f{k}" for k in range(8))
        (path / "features.csv").write_text("\n".join([head, *rows]))
        named = [f"{i},c{c}" for i, c in enumerate(label)]
        (path / "labels.csv").write_text("\n".join(["node,label", *named]))
    words = ["--dataset", str(path), "--labels-per-class", "2", "--model", "sgc", *FAST]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("my with 2" if kind == "npz" else "mine with 2")
    assert "notice: " in err and "54" in err  # 60 % of 90 nodes
