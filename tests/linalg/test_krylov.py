"""GMRES against dense solves."""

from __future__ import annotations

import numpy as np
import torch

from grandpp.linalg.krylov import gmres


def system(size=80, shift=20.0):
    generator = torch.Generator().manual_seed(4)
    a = torch.randn(size, size, generator=generator, dtype=torch.float64) + shift * torch.eye(size)
    return a, torch.randn(size, generator=generator, dtype=torch.float64)


def test_gmres_solves_a_nonsymmetric_system_and_reports_one_it_cannot():
    a, b = system()
    x, used, done = gmres(lambda v: a @ v, b, 1e-12, 200)
    assert done
    assert used < 80
    np.testing.assert_allclose(x.numpy(), np.linalg.solve(a.numpy(), b.numpy()), rtol=1e-9)
    _, used, done = gmres(lambda v: a @ v, b, 1e-12, 3)
    assert (used, done) == (3, False)


def test_the_residual_is_what_was_promised_also_over_restarts():
    a, b = system(shift=30.0)
    for rtol in (1e-2, 1e-5, 1e-10):
        x, _, done = gmres(lambda v: a @ v, b, rtol, 500, restart=5)
        assert done
        assert (a @ x - b).norm() <= rtol * b.norm()


def test_as_many_products_as_there_are_different_eigenvalues():
    generator = torch.Generator().manual_seed(0)
    q = torch.linalg.qr(torch.randn(30, 30, generator=generator, dtype=torch.float64)).Q
    values = torch.tensor([1.0, -4.0, 9.0], dtype=torch.float64).repeat(10)
    a, b = q @ torch.diag(values) @ q.T, torch.ones(30, dtype=torch.float64)
    x, used, done = gmres(lambda v: a @ v, b, 1e-10, 50)
    assert (used, done) == (3, True)
    torch.testing.assert_close(a @ x, b)


def test_stagnation_ends_after_a_full_cycle():
    turn = torch.eye(8, dtype=torch.float64).roll(1, 0)  # GMRES gains nothing before step 8
    b = torch.eye(8, dtype=torch.float64)[0]
    _, used, done = gmres(lambda v: turn @ v, b, 1e-10, 100, restart=4)
    assert (used, done) == (4, False)
    _, used, done = gmres(lambda v: turn @ v, b, 1e-10, 100, restart=8)
    assert (used, done) == (8, True)


def test_zero_asks_for_nothing_and_nan_is_no_solution():
    zero = torch.zeros(4, dtype=torch.float64)
    x, used, done = gmres(lambda v: 1 / 0, zero, 1e-6, 10)
    assert (x.tolist(), used, done) == ([0.0] * 4, 0, True)
    _, _, done = gmres(lambda v: v * torch.nan, zero + 1, 1e-6, 10)
    assert not done
