"""The coefficients of the proximal methods against the thesis and the order conditions."""

from __future__ import annotations

import numpy as np
import pytest

from grandpp.solvers.implicit.schemes import GAMMAS2, GAMMAS3, SCHEMES, multistage

PRINTED2 = [[5], [-2, 6], [-2, 3 / 14, 44 / 7]]
PRINTED3 = [
    [11.17],
    [-7.5, 19.43],
    [-1.05, -4.75, 13.98],
    [1.8, 0.05, -7.83, 13.8],
    [6.2, -7.17, -1.33, 1.63, 11.52],
    [-2.83, 4.69, 2.46, -11.55, 6.68, 11.95],
]


def table(rows):
    size = len(rows)
    return np.array([[*row, *[0.0] * (size - len(row))] for row in rows])


def conditions(a):
    """Residuals of the order conditions: one of first order, one of second, two of third."""
    b, c = a[-1], a.sum(axis=1)
    return np.array([b.sum() - 1, b @ c - 1 / 2, b @ c**2 - 1 / 3, b @ a @ c - 1 / 6])


@pytest.mark.parametrize(("ours", "printed"), [(GAMMAS2, PRINTED2), (GAMMAS3, PRINTED3)])
def test_coefficients_round_to_what_the_thesis_prints(ours, printed):
    for row, expected in zip(ours, printed, strict=True):
        np.testing.assert_allclose(row, expected, rtol=0, atol=0.005)


@pytest.mark.parametrize("name", [n for n, s in SCHEMES.items() if s.stages])
def test_stages_meet_the_order_conditions_and_damp_what_is_stiff(name):
    scheme = SCHEMES[name]
    a = table(scheme.stages)
    many = {2: 2, 3: 4, 4: 4}[scheme.order]
    np.testing.assert_allclose(conditions(a)[:many], 0, atol=1e-14)
    # The stability function R(z) on the negative axis: at most 1, and 0 at infinity.
    identity, ones = np.eye(len(a)), np.ones(len(a))
    for z in [*-np.logspace(-3, 6, 200), -1e13]:
        r = 1 + z * (a[-1] @ np.linalg.solve(identity - z * a, ones))
        assert abs(r) < 1
    assert abs(r) < 1e-10


def test_the_printed_third_order_matrix_has_no_order_at_all():
    # Why ours is corrected: a step as printed is 0.9981 s long.
    a = table(multistage(3, tuple(tuple(map(float, row)) for row in PRINTED3)).stages)
    assert abs(conditions(a)[0]) == pytest.approx(0.00187, abs=1e-5)
