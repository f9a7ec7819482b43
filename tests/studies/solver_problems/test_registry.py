"""Studies by name: unknown names, and options that a study does not read, are refused."""

from __future__ import annotations

import pytest

from grandpp.studies.solver_problems import StudyRequest, resolve_study


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
