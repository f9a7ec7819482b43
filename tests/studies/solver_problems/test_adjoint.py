"""Evaluations of a solve and of its adjoint."""

from __future__ import annotations

from grandpp.studies.solver_problems import StudyRequest
from grandpp.studies.solver_problems.adjoint import AdjointStudy


def run(study):
    return [row for job in study.jobs() for row in job.run()]


def test_the_adjoint_study_counts_both_passes(tmp_path):
    from grandpp.data import load_dataset

    request = StudyRequest("adjoint", solvers=("dopri5",), tolerances=(1e-2, 1e-5))
    study = AdjointStudy(request, load_dataset("sbm"))
    loose, tight = rows = run(study)
    assert loose["status"] == tight["status"] == "success"
    assert 0 < loose["nfe"] < tight["nfe"]
    assert 0 < loose["nfe_backward"] < tight["nfe_backward"]
    study.draw(rows, tmp_path / "adjoint.png")
    assert (tmp_path / "adjoint.png").read_bytes().startswith(b"\x89PNG")
