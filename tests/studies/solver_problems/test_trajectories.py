"""The papers' claims on trajectories, from the rows."""

from __future__ import annotations

from grandpp.studies.solver_problems.trajectories import check_claims


def test_claims_follow_the_distances():
    def trajectory(method, distance, closest):
        return {"function": "F", "method": method, "distance": distance, "closest": closest}

    rows = [trajectory("ODE", 0.5, 0.5), trajectory("HBODE", 0.6, 0.4)]
    claims = check_claims([*rows, trajectory("AdamODE", 0.1, 0.45)])["claims"]["F"]
    assert claims["HBODE_closer_than_ODE"] == {"end": False, "closest": True}
    assert claims["AdamODE_closest"] == {"end": True, "closest": False}
    cut = check_claims(rows)["claims"]["F"]
    assert cut["AdamODE_closest"] == {"end": None, "closest": None}
