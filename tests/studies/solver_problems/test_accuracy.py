"""The summary of solvers: evaluations for a target error."""

from __future__ import annotations

from grandpp.studies.solver_problems.accuracy import summarise


def row(solver, error, nfe):
    return {"solver": solver, "error": error, "nfe": nfe}


def test_the_summary_takes_the_fewest_evaluations_that_reach_the_target():
    rows = [
        row("dopri5", 1e-3, 50),
        row("dopri5", 9e-5, 1000),
        row("dopri5", 1e-6, 2000),
        row("a", 1e-4, 300),
        row("a", 1e-7, 200),
        row("b", None, 10),
        row("b", 2e-4, 20),
    ]
    summary = summarise(rows)
    assert summary["nfe"] == {"dopri5": 1000, "a": 200, "b": None}
    assert summary["times_fewer"] == {"dopri5": 1, "a": 5, "b": None}


def test_the_summary_has_no_ratios_without_dopri5():
    assert summarise([row("a", 1e-5, 7)])["times_fewer"] == {"a": None}
    assert summarise([])["nfe"] == {}
