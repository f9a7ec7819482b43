"""Recursions against polynomials of dense matrices, forwards and in reverse."""

from __future__ import annotations

import pytest
import torch

from grandpp.solvers.linear import recursion as module
from grandpp.solvers.linear.recursion import Recursion, basis

KINDS = pytest.mark.parametrize("chebyshev", [False, True], ids=["powers", "chebyshev"])


def dense_basis(a, k, chebyshev):
    """B_0(A), ..., B_k(A), the Chebyshev ones by their recurrence."""
    out = [torch.eye(len(a), dtype=a.dtype), a]
    for _ in range(k - 1):
        out.append(2 * a @ out[-1] - out[-2] if chebyshev else a @ out[-1])
    return out


def make(operator, chebyshev, degree=9):
    csr, weight, dense = operator
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2, degree + 1, generator=generator, dtype=torch.float64)
    inputs = tuple(torch.randn(2, 6, 3, generator=generator, dtype=torch.float64))
    return Recursion(csr, weight, chebyshev, rows.tolist(), inputs), rows, inputs, dense


@KINDS
def test_basis_is_that_of_the_dense_matrix(operator, chebyshev):
    csr, weight, dense = operator
    v = torch.randn(6, 3, dtype=torch.float64)
    for got, b in zip(
        basis(csr, weight, v, 7, chebyshev), dense_basis(dense, 7, chebyshev), strict=True
    ):
        torch.testing.assert_close(got, b @ v)


@KINDS
def test_the_sum_is_the_dense_polynomial_for_as_many_products_as_its_degree(operator, chebyshev):
    recursion, rows, inputs, dense = make(operator, chebyshev)
    result = recursion.run(recursion.top(), recursion.last, 0)[0]
    matrices = torch.stack(dense_basis(dense, recursion.last, chebyshev))
    expected = sum(
        torch.einsum("k,kij,jf->if", c, matrices, v) for c, v in zip(rows, inputs, strict=True)
    )
    torch.testing.assert_close(result, expected)
    assert recursion.products == recursion.last


@KINDS
@pytest.mark.parametrize("kept", [2, 3, 100])
def test_states_come_back_in_reverse_however_few_are_kept(operator, chebyshev, kept, monkeypatch):
    monkeypatch.setattr(module, "_KEPT_BYTES", 0)
    monkeypatch.setattr(module, "_KEPT_AT_LEAST", kept)
    recursion, _, _, _ = make(operator, chebyshev)
    states = [recursion.top()]
    for k in range(recursion.last, 1, -1):
        states.append(recursion.run(states[-1], k, k - 1))
    recursion.products = 0
    checkpoints = recursion.checkpoints(recursion.top(), recursion.last, 1)
    assert len(checkpoints.kept) <= kept
    visited = [state.clone() for state in recursion.ascending(checkpoints, 1)]
    assert len(visited) == recursion.last
    for got, (expected, *_) in zip(visited, reversed(states), strict=True):
        torch.testing.assert_close(got, expected)
    if kept == 100:
        assert recursion.products == recursion.last - 1  # nothing is computed twice


@KINDS
def test_an_empty_range_of_indices_has_no_checkpoints(operator, chebyshev):
    recursion, _, _, _ = make(operator, chebyshev, degree=1)
    checkpoints = recursion.checkpoints(recursion.top(), 0, 1)
    assert list(recursion.ascending(checkpoints, 1)) == []
