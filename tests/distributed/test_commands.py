"""The commands that cut a graph and train on its shards."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from commands import main_of
from partitions import planted
from sharded import ignores_interrupts, in_ranks, shards_of, undirected

from grandpp.distributed import LostRankError, partition_command, read_shard, train_command
from grandpp.distributed.job import Job, first_error, run_ranks
from grandpp.distributed.training import ShardedTraining
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.records import read_records
from grandpp.training.settings import build_optimizer

partition = main_of(partition_command.COMMAND, "grandpp partition")
train = main_of(train_command.COMMAND, "grandpp train-sharded")
SMALL = ["--time", "2"]


@pytest.fixture
def files(tmp_path):
    """A graph in NPY files, as arguments of the command."""
    data = planted(120, 3, features=20)
    np.save(tmp_path / "edges.npy", data.edge_index.numpy())
    np.save(tmp_path / "x.npy", data.x.numpy())
    np.save(tmp_path / "y.npy", data.y.numpy())
    names = {"edges": "edges", "features": "x", "labels": "y"}
    return [word for flag, name in names.items()
            for word in (f"--{flag}", str(tmp_path / f"{name}.npy"))]  # fmt: skip


def cut(files, tmp_path, *more, parts=2):
    folder = tmp_path / "shards"
    options = ["--labels-per-class", "3", "--protocol", "no_val", "--method", "label_propagation"]
    code = partition([*files, *options, "--parts", str(parts), "--out", str(folder), *more])
    return code, folder


def test_partition_writes_shards_and_prints_what_is_cut(files, tmp_path, capsys):
    code, folder = cut(files, tmp_path)
    assert code == 0
    text = capsys.readouterr().out
    info = json.loads((folder / "shards.json").read_text())
    assert f"cut edges: {info['cut_edges']} (" in text and "largest part" in text
    for part, (size, halo) in enumerate(zip(info["sizes"], info["halos"], strict=True)):
        assert [str(part), str(size), str(halo)] in [line.split()[:3] for line in text.splitlines()]
        shard = read_shard(folder, part)
        assert int(shard.masks["val_mask"].sum()) == 0
    assert info["split"]["labels_per_class"] == 3 and info["dataset"] == "edges"


def test_a_data_set_is_cut_like_its_files(tmp_path, capsys):
    options = ["--labels-per-class", "1", "--parts", "2", "--method", "label_propagation"]
    assert partition(["--dataset", "KarateClub", "--out", str(tmp_path / "k"), "--json",
                      "--protocol", "no_val", *options]) == 0  # fmt: skip
    info = json.loads(capsys.readouterr().out)
    assert (info["dataset"], info["nodes"], info["parts"]) == ("KarateClub", 34, 2)
    total = sum(int(read_shard(tmp_path / "k", p).masks["train_mask"].sum()) for p in range(2))
    assert total == info["classes"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--dataset", "Cora"], "either --dataset or --edges"),
        (["--parts", "121"], "from 1 to 120 parts, the nodes (got 121)"),
        (["--features", "none.npy"], "there is none"),
        (["--labels", "edges.npy"], "integers of shape [120]"),
        (["--labels-per-class", "1000"], "1000"),
        (["--out", "nowhere/shards"], "existing folder"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_two(
    files, tmp_path, capsys, monkeypatch, change, words
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, _ = cut(files, tmp_path, *change)
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and words in error
    assert sorted(tmp_path.iterdir()) == before


def test_a_data_set_that_does_not_exist_is_the_one_thing_that_is_said(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(partition_command, "metis_is_there", lambda: False)
    options = ["--labels-per-class", "1", "--parts", "2", "--out", str(tmp_path / "k")]
    assert partition(["--dataset", "NOSUCH", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "NOSUCH" in error and "pymetis" not in error
    assert partition(["--dataset", "KarateClub", "--protocol", "no_val", *options]) == 0
    assert "pymetis is not installed" in capsys.readouterr().err


def test_one_part_is_trained_in_this_process_and_recorded_once(tmp_path, capsys):
    folder, out = shards_of(undirected(), tmp_path, 1), tmp_path / "runs.jsonl"
    arguments = [str(folder), "--epochs", "3", "--out", str(out), "--quiet", "--json", *SMALL]
    assert train(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    (record,) = read_records(out)
    assert record["test_accuracy"] == printed["test_accuracy"] > 0.3
    run = tuned_run("planted", "grand++-l", 3, protocol="per_class_val", time=2.0, epochs=3)
    assert record["config_hash"] == run.config_hash and record["processes"] == 1
    assert train(arguments) == 0
    assert len(read_records(out)) == 1
    assert json.loads(capsys.readouterr().out)["test_accuracy"] == record["test_accuracy"]


def test_clusters_grow_when_a_graph_is_cut_and_are_trained_on(tmp_path, capsys):
    folder = str(tmp_path / "karate")
    graph = ["--dataset", "KarateClub", "--labels-per-class", "1", "--protocol", "no_val"]
    clusters = ["--clusters", "grand++-cluster-l"]
    assert partition([*graph, *clusters, "--parts", "1", "--out", folder, "--quiet"]) == 0
    shard = read_shard(folder, 0)
    assert shard.targets is not None
    label, share = shard.targets
    train_mask = shard.masks["train_mask"]
    assert torch.equal(label[train_mask], shard.y[train_mask])
    assert share.sum().item() == pytest.approx(1) and (share > 0).sum() > train_mask.sum()
    capsys.readouterr()
    few = [folder, "--epochs", "30", "--quiet", "--json", *SMALL]
    assert train([*few, "--model", "grand++-cluster-l"]) == 0
    assert json.loads(capsys.readouterr().out)["test_accuracy"] > 0.5
    assert train([*few, "--model", "grand++-l"]) == 0  # trains on the labels alone
    assert train([*few, "--model", "grand++-views-l"]) == 2
    assert "(got cluster_labels=1.0, clusters=None" in capsys.readouterr().err


def test_clusters_of_edges_that_are_read_in_chunks_are_refused(files, tmp_path, capsys):
    code, folder = cut(files, tmp_path, "--clusters", "grand++-views-l")
    assert code == 2 and not folder.exists()
    assert "expected no --clusters beside edges in NPY or Parquet" in capsys.readouterr().err


def test_nonlinear_models_are_solved_by_tsit5(tmp_path, capsys):
    folder = shards_of(undirected(), tmp_path, 1)
    arguments = [str(folder), "--model", "grand-nl", "--epochs", "1", "--quiet", "--json", *SMALL]
    assert train(arguments) == 0
    assert json.loads(capsys.readouterr().out)["config"]["solver"] == "tsit5"
    assert train([*arguments, "--solver", "prox_bdf2"]) == 2
    assert "expected a solver for sharded graphs" in capsys.readouterr().err


def test_options_that_do_not_go_together_are_named(tmp_path, capsys):
    folder = str(shards_of(undirected(), tmp_path, 1))
    for more, words in (
        (["--resume"], "--checkpoint beside --resume"),
        (["--timeout", "0"], "positive --timeout"),
        (["--checkpoint", str(tmp_path / "no" / "run.pt")], "existing folder"),
        (["--cluster-labels", "1"], "cluster_labels"),
        (["--model", "grand++-views-l"], "clusters=chosen"),
    ):
        assert train([folder, *more]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and words in error


def test_too_little_memory_is_one_line(tmp_path, capsys, monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("alloc_cpu.cpp:1. DefaultCPUAllocator: can't allocate memory")

    folder = str(shards_of(undirected(), tmp_path, 1))
    monkeypatch.setattr(ShardedTraining, "loss", fails)
    assert train([folder, "--quiet", *SMALL]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "memory did not suffice (can't allocate memory)" in error
    monkeypatch.setattr(train_command, "read_shard", fails)
    assert train([folder, "--quiet", *SMALL]) == 2
    assert "memory did not suffice" in capsys.readouterr().err


def _died(rank, folder):
    shard = read_shard(folder, rank, 2)
    run = tuned_run("planted", "grand++-l", 3, protocol="per_class_val", hidden=8, heads=2,
                    attention_channels=8, time=2.0)  # fmt: skip
    training = ShardedTraining.begin(run, shard, Job(rank, 2), torch.float32)
    optimizer = build_optimizer(run, training.model)
    training.train_epoch(1, optimizer)
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        training.train_epoch(2, optimizer)
    except LostRankError as error:
        return str(error)


def test_a_rank_that_is_killed_is_an_error_in_the_others(tmp_path):
    first, second = in_ranks(2, _died, shards_of(undirected(), tmp_path, 2))
    assert second == "died"
    assert first.startswith("rank 0 lost another rank") and "\n" not in first


def _wrong(rank):
    return first_error("" if rank == 0 else f"rank {rank} is wrong", Job(rank, 2))


def test_all_ranks_know_what_is_wrong_in_one():
    assert in_ranks(2, _wrong) == ["rank 1 is wrong"] * 2


def _start(rank, size, port, *arguments):
    environment = {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1",
                   "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "grandpp", "train-sharded", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ranks(*arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [_start(rank, 2, port, *arguments) for rank in range(2)]


@pytest.mark.slow
def test_a_killed_job_ends_everywhere_and_is_resumed(tmp_path):
    folder = shards_of(undirected(), tmp_path, 2)
    out, checkpoint = tmp_path / "runs.jsonl", tmp_path / "run.pt"
    common = [str(folder), "--quiet", *SMALL]
    kept = [*common, "--out", str(out), "--checkpoint", str(checkpoint), "--resume"]
    ranks = _ranks(*kept, "--epochs", "100000")
    while not checkpoint.exists():
        assert all(rank.poll() is None for rank in ranks)
        time.sleep(0.05)
    ranks[0].kill()
    _, error = ranks[1].communicate(timeout=30)
    ranks[0].communicate()
    assert ranks[1].returncode == 1
    assert error.count("\n") == 1 and "rank 1 lost another rank" in error
    assert not out.exists() and sorted(p.name for p in tmp_path.iterdir()) == ["run.pt", "shards-2"]
    done = torch.load(checkpoint, weights_only=True)["epoch"]
    epochs = str(done + 3)
    for rank in _ranks(*kept, "--epochs", epochs):
        _, error = rank.communicate(timeout=120)
        assert (rank.returncode, error) == (0, "")
    undisturbed, other = tmp_path / "undisturbed.jsonl", tmp_path / "undisturbed.pt"
    again = ["--epochs", epochs, "--out", str(undisturbed), "--checkpoint", str(other)]
    for rank in _ranks(*common, *again):
        assert rank.wait(timeout=120) == 0
    (mine,), (right,) = read_records(out), read_records(undisturbed)
    for name in ("config_hash", "energy", "val_accuracy", "test_accuracy"):
        assert mine[name] == right[name]
    models = [torch.load(path, weights_only=True)["model"] for path in (checkpoint, other)]
    assert models[0].keys() == models[1].keys()
    assert all(torch.equal(value, models[1][name]) for name, value in models[0].items())


@pytest.mark.slow
def test_processes_of_this_machine_train_and_report_in_one_line(tmp_path):
    folder, out = shards_of(undirected(), tmp_path, 2), tmp_path / "runs.jsonl"
    command = [sys.executable, "-m", "grandpp", "train-sharded", str(folder), "--processes", "2"]
    more = ["--epochs", "2", "--quiet", *SMALL]
    done = subprocess.run([*command, *more, "--out", str(out)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "grand++-l" in done.stdout and read_records(out)[0]["processes"] == 2
    (folder / "part-00001" / "y.npy").unlink()
    done = subprocess.run([*command, *more], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "y.npy" in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_the_ranks_without_a_word_but_one_line(tmp_path):
    folder, checkpoint = shards_of(undirected(), tmp_path, 2), tmp_path / "run.pt"
    command = [sys.executable, "-m", "grandpp", "train-sharded", str(folder), "--processes", "2"]
    command += ["--epochs", "100000", "--checkpoint", str(checkpoint), "--quiet", *SMALL]
    # A group of its own, which gets the signal as that of a terminal does.
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        while not checkpoint.exists():
            assert job.poll() is None
            time.sleep(0.05)
        os.killpg(job.pid, signal.SIGINT)
        _, error = job.communicate(timeout=60)
    finally:
        if job.poll() is None:  # no test leaves processes behind
            os.killpg(job.pid, signal.SIGKILL)
    assert job.returncode == 130
    assert error.split() == ["grandpp", "train-sharded:", "interrupted"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by signals")
def test_ranks_end_with_the_command_that_started_them_however_it_ends(tmp_path):
    folder, checkpoint = shards_of(undirected(), tmp_path, 2), tmp_path / "run.pt"
    command = [sys.executable, "-m", "grandpp", "train-sharded", str(folder), "--processes", "2"]
    command += ["--epochs", "100000", "--checkpoint", str(checkpoint), "--quiet", *SMALL]
    job = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not checkpoint.exists():
        assert job.poll() is None
        time.sleep(0.05)
    ranks = psutil.Process(job.pid).children(recursive=True)
    job.kill()
    job.wait()
    _, alive = psutil.wait_procs(ranks, timeout=30)
    for rank in alive:
        rank.kill()
    assert len(ranks) >= 2 and not alive


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the ranks of torchrun in /proc")
def test_torchrun_starts_killed_ranks_again_and_they_go_on(tmp_path):
    folder, out = shards_of(undirected(), tmp_path, 2), tmp_path / "runs.jsonl"
    checkpoint = tmp_path / "run.pt"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--max-restarts", "1", "--master-port", str(port), "-m", "grandpp"]
    command += ["train-sharded", str(folder), "--quiet", *SMALL, "--epochs", "300", "--resume"]
    command += ["--out", str(out), "--checkpoint", str(checkpoint)]
    launcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not checkpoint.exists():
        assert launcher.poll() is None
        time.sleep(0.02)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    _, error = launcher.communicate(timeout=240)
    assert launcher.returncode == 0, error
    assert len(read_records(out)) == 1 and "lost another rank" in error


def test_ctrl_c_reaches_the_process_that_ends_the_ranks_alone():
    before = signal.getsignal(signal.SIGINT)
    assert run_ranks(ignores_interrupts, (), 2) == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_a_table_beside_arrays_is_refused_without_advice_to_run_code(files, tmp_path, capsys):
    (tmp_path / "x.csv").write_text("node,x\n0,1\n1,2\n")
    files[files.index("--features") + 1] = str(tmp_path / "x.csv")
    assert cut(files, tmp_path)[0] == 2
    line = capsys.readouterr().err
    assert "x.csv: expected an NPY file beside edges in NPY or Parquet" in line
    assert "(got: no NPY data)" in line and "unsafely" not in line
