"""The benchmark that trains GRAND with several solvers, on a small graph drawn in memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from grandpp.data import sbm


@pytest.fixture
def program(load):
    load("common")
    return load("training_solvers")


def rows_of(program, capsys, *arguments):
    assert program.main(["--dataset", "sbm", "--epochs", "2", "--json", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_kind_of_solver_trains_counts_and_is_kept(program, capsys, tmp_path, monkeypatch):
    out, picture = tmp_path / "runs.jsonl", tmp_path / "curves.png"
    arguments = ("--solver", "prox_be", "dopri5", "auto", "--out", str(out))
    rows = rows_of(program, capsys, *arguments, "--plot", str(picture))
    assert [row["solver"] for row in rows] == ["prox_be", "dopri5", "auto"]
    assert {row["status"] for row in rows} == {"success"}
    assert all(row["nfe_forward"] > 0 and row["nfe_backward"] > 0 for row in rows)
    # All solve one equation from one start, to tolerance 1e-4 or 8 steps of the first order.
    first = [json.loads(line)["curves"]["loss"][0] for line in out.read_text().splitlines()]
    assert first == pytest.approx([first[0]] * 3, rel=1e-2)
    assert picture.read_bytes().startswith(b"\x89PNG")
    with out.open("a") as file:
        file.write('{"curves": {"epo')  # torn by a crash
    monkeypatch.setattr(program, "train", None)  # nothing is trained again
    assert rows_of(program, capsys, *arguments) == rows


def test_the_solvers_have_the_settings_of_the_thesis(program):
    proximal, explicit = program.solver_of("prox_bdf2"), program.solver_of("dopri8")
    assert (proximal.step_size, proximal.inner, proximal.inner_tol) == (1.25, "fr", 1e-4)
    assert (explicit.rtol, explicit.atol, explicit.gradient) == (1e-4, 1e-4, "adjoint")


def test_a_graph_without_validation_nodes_is_refused_before_training(program, capsys, tmp_path):
    out = tmp_path / "runs.jsonl"
    graph = sbm(38, 76, 2, 6, words_per_node=2.0, communities_per_class=1)
    graph.y = torch.arange(38) % 2  # 11 of each are among the 22 development nodes of seed 0
    np.savez(tmp_path / "own.npz", edge_index=graph.edge_index, x=graph.x, y=graph.y)
    arguments = ["--dataset", str(tmp_path / "own.npz"), "--labels-per-class", "11"]
    with pytest.raises(SystemExit) as stop:
        program.main([*arguments, "--solver", "auto", "--epochs", "1", "--out", str(out)])
    assert stop.value.code == 2
    assert "nodes left to validate" in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists() or not out.read_text()


def test_a_kept_run_without_curves_is_refused(program, capsys, tmp_path):
    out = tmp_path / "runs.jsonl"
    record = {"dataset": "sbm", "solver": "auto", "epochs": 2, "labels": 20, "status": "success"}
    out.write_text(json.dumps(record | {"test_accuracy": 0.5, "curves": {}}) + "\n")
    with pytest.raises(SystemExit) as stop:
        rows_of(program, capsys, "--solver", "auto", "--out", str(out))
    assert stop.value.code == 2
    assert "curves of every epoch in the run of auto" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "Corra"], "unknown data set 'Corra'"),
        (["--dataset", "sbm", "--solver", "rk4"], "adaptive or proximal solvers (got 'rk4')"),
        (["--dataset", "sbm", "--out", "nowhere/runs.jsonl"], "expected an existing folder"),
        (["--dataset", "sbm", "--plot", "a.xyz"], "expected a file ending in"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(program, capsys, arguments, words):
    with pytest.raises(SystemExit) as stop:
        program.main(arguments)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
