"""Studies measure what they say: summaries, claims, inner solvers, errors over time."""

from __future__ import annotations

import pytest
import torch

from grandpp.studies.solver_problems import StudyRequest, resolve_study
from grandpp.studies.solver_problems.accuracy import summarise
from grandpp.studies.solver_problems.adjoint import AdjointStudy
from grandpp.studies.solver_problems.equation import StepEquation
from grandpp.studies.solver_problems.euler import euler_errors
from grandpp.studies.solver_problems.problems import GROWTH
from grandpp.studies.solver_problems.size import SizeStudy
from grandpp.studies.solver_problems.trajectories import check_claims


def run(study):
    return [row for job in study.jobs() for row in job.run()]


def f64(value):
    return torch.tensor(value, dtype=torch.float64)


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


def test_claims_follow_the_distances():
    def trajectory(method, distance, closest):
        return {"function": "F", "method": method, "distance": distance, "closest": closest}

    rows = [trajectory("ODE", 0.5, 0.5), trajectory("HBODE", 0.6, 0.4)]
    claims = check_claims([*rows, trajectory("AdamODE", 0.1, 0.45)])["claims"]["F"]
    assert claims["HBODE_closer_than_ODE"] == {"end": False, "closest": True}
    assert claims["AdamODE_closest"] == {"end": True, "closest": False}
    cut = check_claims(rows)["claims"]["F"]
    assert cut["AdamODE_closest"] == {"end": None, "closest": None}


def test_proximal_backward_euler_approaches_backward_euler_as_the_inner_tolerance_falls():
    errors = euler_errors("growth", (1e-3, 1e-6, 1e-12))
    gaps = [float((e - errors.backward).abs().max()) for e in errors.proximal.values()]
    assert gaps[0] > 1e-3 > 1e-8 > gaps[1] >= gaps[2]
    # Forward Euler, written out.
    h, t = 1.0, 0.0
    for _ in range(len(errors.ts)):
        h, t = h + 0.01 * float(GROWTH(f64(t), f64(h))), t + 0.01
    exact = float(GROWTH.exact(f64(2.0)))
    assert float(errors.forward[-1]) == pytest.approx(abs(h - exact), rel=1e-9)


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


def test_sizes_are_measured_for_every_contestant(tmp_path):
    study = SizeStudy(StudyRequest("inner-size", inners=("fr",)), sizes=(16, 32))
    rows = run(study)
    assert [(r["points"], r["inner"]) for r in rows] == [
        (n, name) for n in (16, 32) for name in ("fr", "newton_raphson")
    ]
    assert all(r["status"] == "success" and r["residual"] <= 1e-8 for r in rows)
    assert [r["nfe"] for r in rows if r["inner"] == "newton_raphson"] == [17, 33]
    study.draw(rows, tmp_path / "size.png")
    assert (tmp_path / "size.png").read_bytes().startswith(b"\x89PNG")
    assert set(study.summary(rows)["fastest"]) == {"16", "32"}


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


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (StudyRequest("magic"), "expected a problem among"),
        (StudyRequest("trajectories", solvers=("euler",)), "no --solver beside"),
        (StudyRequest("inner", tolerances=(0.1,)), "no --tolerance beside"),
        (StudyRequest("growth", solvers=("exact",)), "no linear diffusion"),
        (StudyRequest("growth", solvers=("euler",), inner_tols=(0.1,)), "expected a proximal"),
    ],
)
def test_options_without_effect_are_refused(request_, message):
    with pytest.raises(ValueError, match=message):
        resolve_study(request_)
