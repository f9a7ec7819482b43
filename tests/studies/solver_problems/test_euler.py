"""Euler methods against their formulas."""

from __future__ import annotations

import pytest
import torch

from grandpp.studies.solver_problems.euler import euler_errors
from grandpp.studies.solver_problems.problems import GROWTH


def f64(value):
    return torch.tensor(value, dtype=torch.float64)


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
