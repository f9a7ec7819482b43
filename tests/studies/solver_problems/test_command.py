"""grandpp solver as a user meets it."""

from __future__ import annotations

import json

import pytest
from programs import runner

from grandpp.studies.solver_problems import accuracy, command, trajectories

main = runner(command.COMMAND, "solver_benchmark")


def test_exact_diffusion_meets_its_tolerance_with_a_root_of_the_products(capsys, tmp_path):
    picture = tmp_path / "p.png"
    arguments = ["--problem", "diffusion1d", "--solver", "exact", "--json", "--plot", str(picture)]
    assert main(arguments) == 0
    *rows, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["tolerance"] for r in rows] == [1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    for row in rows:
        assert row["status"] == "success"
        assert row["error"] <= row["tolerance"]
        assert row["max_error"] < row["error"]  # the largest entry is about 0.34
        assert row["nfe"] <= 1000  # tau is 32,258
    good = [r["nfe"] for r in rows if r["error"] <= 1e-4]
    assert last["summary"]["nfe"] == {"exact": min(good)}
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("solver", "printed"),
    [
        ("prox_be", 4.68e-7),
        ("prox_cn", 1.75e-6),
        ("prox_bdf2", 1.36e-6),
    ],
)
def test_the_default_inner_tolerance_reaches_the_errors_of_table_5_2(capsys, solver, printed):
    arguments = ["--problem", "diffusion1d", "--solver", solver, "--tolerance", "5e-4", "--json"]
    assert main(arguments) == 0
    row = json.loads(capsys.readouterr().out.splitlines()[0])
    assert row["max_error"] <= printed


def test_an_explicit_step_beyond_stability_is_reported_as_failed(capsys):
    arguments = ["--problem", "diffusion1d", "--solver", "euler", "--tolerance", "1e-3", "--json"]
    assert main(arguments) == 0
    row, _ = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert row["status"] == "non_finite"
    assert row["error"] is row["max_error"] is None


def test_inner_solvers_and_their_tolerances_are_combined(capsys):
    arguments = ["--problem", "prothero", "--solver", "prox_be", "--solver", "euler"]
    arguments += ["--tolerance", "0.1", "--inner", "fr", "--inner", "gd"]
    assert main([*arguments, "--inner-tol", "1e-3", "--inner-tol", "1e-9", "--json"]) == 0
    *rows, _ = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["inner"], r["inner_tol"]) for r in rows] == [
        ("fr", 1e-3), ("fr", 1e-9), ("gd", 1e-3), ("gd", 1e-9), (None, None)
    ]  # fmt: skip


def test_trajectories_print_a_table_with_the_claims_and_a_picture(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(trajectories, "RTOL", 1e-4)  # for the time it takes
    picture = tmp_path / "t.png"
    assert main(["--problem", "trajectories", "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert out.count("success") == 6
    assert "AdamODE_closest" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_growth_draws_errors_over_time(capsys, tmp_path):
    picture = tmp_path / "g.png"
    arguments = ["--problem", "growth", "--solver", "euler", "--tolerance", "0.1"]
    assert main([*arguments, "--plot", str(picture)]) == 0
    assert "max_error" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_keeps_the_finished_rows(capsys, monkeypatch):
    calls = []
    measure = accuracy.measure

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(accuracy, "measure", interrupted)
    assert main(["--problem", "growth", "--solver", "euler", "--json"]) == 130
    row, _ = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert row["tolerance"] == 0.1


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_ctrl_c_before_any_row_prints_no_summary(capsys, monkeypatch, extra):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(accuracy, "measure", interrupted)
    assert main(["--problem", "growth", "--solver", "euler", *extra]) == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "interrupted; 0 finished rows" in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--problem", "growth", "--plot", "missing/folder/p.png"],
        ["--problem", "growth", "--plot", "picture.unknown"],
        ["--problem", "growth", "--tolerance", "-1"],
        ["--problem", "growth", "--inner-tol", "nan"],
        ["--problem", "growth", "--solver", "exact"],
        ["--problem", "trajectories", "--inner", "fr"],
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(capsys, arguments):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_an_unknown_problem_is_one_line_and_exit_code_two(capsys):
    assert main(["--problem", "magic"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
