"""The series behind the exact solution."""

from __future__ import annotations

import numpy as np

from grandpp.solvers.poisson import PoissonSeries


def test_coefficients_are_probabilities_and_their_derivatives_are_right():
    for tau in (1e-9, 0.3, 9.0, 800.0):
        series = PoissonSeries.cut(tau, 1e-12)
        assert series.p.min() >= 0
        assert abs(series.p.sum() - 1) < 1e-10
        assert abs(series.c.sum() - 1) < 1e-9
    h = 1e-6
    lower, middle, upper = (PoissonSeries.cut(t, 1e-15) for t in (5 - h, 5.0, 5 + h))
    k = min(len(s.p) for s in (lower, middle, upper))
    np.testing.assert_allclose((upper.p - lower.p[:k])[:k] / (2 * h), middle.dp[:k], atol=1e-9)
    np.testing.assert_allclose((upper.c - lower.c[:k])[:k] / (2 * h), middle.dc[:k], atol=1e-9)


def test_tiny_times_keep_their_derivatives():
    series = PoissonSeries.cut(1e-12, 1e-6)
    np.testing.assert_allclose(series.dp[:2], [-1, 1], atol=1e-9)
