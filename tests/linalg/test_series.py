"""The series behind the exact solution."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from grandpp.linalg.series import Series

KINDS = [Series.powers, Series.chebyshev_polynomials]


def evaluate(series, coefficients, x):
    if series.chebyshev:
        return chebyshev.chebval(x, coefficients)
    return np.polynomial.polynomial.polyval(x, coefficients)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tau", [1e-6, 0.3, 9.0, 800.0])
def test_both_functions_are_approximated_on_the_spectrum_to_the_tolerance(kind, tau):
    x = np.linspace(-1, 1, 501)[:-1]
    for tol in (1e-3, 1e-10):
        series = kind(tau, tol)
        z = tau * (1 - x)
        slack = tol + 1e-12
        assert np.abs(evaluate(series, series.p, x) - np.exp(-z)).max() <= slack
        assert np.abs(evaluate(series, series.c, x) + np.expm1(-z) / z).max() <= slack


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tau", [0.3, 9.0, 800.0])
def test_coefficients_sum_to_one_and_their_derivatives_are_right(kind, tau):
    h = 1e-5 * tau
    lower, middle, upper = (kind(t, 1e-15) for t in (tau - h, tau, tau + h))
    k = min(len(s.p) for s in (lower, middle, upper))
    for name in ("p", "c"):
        assert getattr(middle, name).sum() == pytest.approx(1, abs=1e-12)
        difference = (getattr(upper, name)[:k] - getattr(lower, name)[:k]) / (2 * h)
        np.testing.assert_allclose(difference, getattr(middle, "d" + name)[:k], atol=1e-7)


def test_poisson_coefficients_are_probabilities():
    for tau in (1e-9, 0.3, 9.0, 800.0):
        series = Series.powers(tau, 1e-12)
        assert series.p.min() >= 0
        assert series.c.min() >= 0


def test_chebyshev_needs_a_root_of_the_terms():
    terms = [Series.chebyshev_polynomials(tau, 1e-6).products for tau in (1e2, 1e4)]
    assert terms[1] < 13 * terms[0]
    assert terms[1] < 0.1 * Series.powers(1e4, 1e-6).products


def test_tiny_times_keep_their_derivatives():
    series = Series.powers(1e-12, 1e-6)
    np.testing.assert_allclose(series.dp[:2], [-1, 1], atol=1e-9)
