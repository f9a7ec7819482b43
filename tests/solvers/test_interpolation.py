"""Interpolation weights against polynomials they must reproduce."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.solvers.interpolation import bdf_error_weights, combine, lagrange, slopes

PLACES = [1.3, 1.0, 0.4, -0.1, -0.9, -1.0]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_polynomials_below_the_number_of_places_are_reproduced(n):
    places = PLACES[:n]
    for degree in range(n):
        values = [torch.tensor(p**degree, dtype=torch.float64) for p in places]
        assert float(combine(lagrange(places, 0.77), values)) == pytest.approx(0.77**degree)
        if n > 1:
            slope = degree * places[0] ** (degree - 1) if degree else 0.0
            assert float(combine(slopes(places), values)) == pytest.approx(slope, abs=1e-12)


def test_interpolation_is_differentiable_in_the_place():
    x = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    values = [torch.tensor(p**3, dtype=torch.float64) for p in PLACES[:4]]
    combine(lagrange(PLACES[:4], x), values).backward()
    assert float(x.grad) == pytest.approx(3 * 0.3**2)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_neglected_term_is_the_error_of_a_step(k):
    # On y = x^(k+1) the formula of order k, fed with exact values and the exact slope, misses by
    # just what it neglects; on lower powers it neglects nothing.
    places = PLACES[: k + 2]
    weights = slopes(places[:-1])
    for degree in range(k + 2):
        y = [p**degree for p in places]
        slope = degree * places[0] ** (degree - 1) if degree else 0.0
        step = (slope - math.fsum(w * v for w, v in zip(weights[1:], y[1:-1], strict=True))) / (
            weights[0]
        )
        told = math.fsum(w * v for w, v in zip(bdf_error_weights(places), y, strict=True))
        assert abs(step - y[0]) == pytest.approx(abs(told), abs=1e-12)
