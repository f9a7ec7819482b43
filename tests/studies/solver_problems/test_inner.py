"""Inner solvers on one step against the dense solution."""

from __future__ import annotations

import pytest

from grandpp.studies.solver_problems import StudyRequest, resolve_study
from grandpp.studies.solver_problems.equation import StepEquation


def run(study):
    return [row for job in study.jobs() for row in job.run()]


def test_inner_solvers_converge_to_the_dense_solution_and_are_watched(tmp_path):
    study = resolve_study(StudyRequest("inner"))
    rows = run(study)
    assert len(rows) == 8
    for r in rows:
        watch = study.watches[r["inner"]]
        assert r["status"] == "success"
        assert r["distance"] < 1e-8
        assert len(watch.residuals) == r["nfe"]
        assert watch.residuals == sorted(watch.residuals, reverse=True)
        assert watch.residuals[-1] == pytest.approx(r["residual"], rel=1e-9)
    equation = StepEquation.heat()
    assert equation.residual(equation.newton_raphson()).abs().max() < 1e-13
    study.draw(rows, tmp_path / "inner.png")
    assert (tmp_path / "inner.png").read_bytes().startswith(b"\x89PNG")
