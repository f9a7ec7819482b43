"""Polynomials of a sparse matrix against dense ones, and all their gradients."""

from __future__ import annotations

import pytest
import torch

from grandpp.linalg import CSR, products
from grandpp.solvers.base import SolveStats
from grandpp.solvers.linear import recursion
from grandpp.solvers.linear.polynomial import apply_polynomials

KINDS = pytest.mark.parametrize("chebyshev", [False, True], ids=["powers", "chebyshev"])


def draw(degree):
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(2, degree + 1, generator=generator, dtype=torch.float64)
    a, b = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    return rows, a, b


@KINDS
@pytest.mark.parametrize("degree", [0, 1, 8])
def test_values_are_those_of_the_dense_polynomial(operator, chebyshev, degree):
    csr, weight, dense = operator
    rows, a, b = draw(degree)
    stats = SolveStats()
    got = apply_polynomials(csr, weight, rows, (a, b), chebyshev=chebyshev, stats=stats)
    before, now, expected = torch.eye(6).double(), torch.eye(6).double(), torch.zeros_like(a)
    for k in range(degree + 1):
        if k > 0:
            before, now = now, (2 * dense @ now - before if chebyshev and k > 1 else dense @ now)
        expected = expected + now @ (rows[0, k] * a + rows[1, k] * b)
    torch.testing.assert_close(got, expected)
    assert (stats.nfe_forward, stats.nfe_backward) == (degree, 0)


@KINDS
@pytest.mark.parametrize("kept", [2, 8])
def test_gradients_to_weights_coefficients_and_inputs_pass_gradcheck(
    operator, chebyshev, kept, monkeypatch
):
    monkeypatch.setattr(recursion, "_KEPT_BYTES", 0)
    monkeypatch.setattr(recursion, "_KEPT_AT_LEAST", kept)
    csr, weight, _ = operator
    rows, a, b = (tensor.requires_grad_() for tensor in draw(5))
    weight = weight.clone().requires_grad_()

    def run(w, c, u, v):
        return apply_polynomials(csr, w, c, (u, v), chebyshev=chebyshev, stats=SolveStats())

    assert torch.autograd.gradcheck(run, (weight, rows, a, b))


@KINDS
def test_an_input_on_a_few_rows_is_that_input_with_zeros_elsewhere(operator, chebyshev):
    csr, weight, _ = operator
    place = torch.tensor([4, 1])
    results = []
    for places in ((None, place), None):
        rows, a, b = (tensor.requires_grad_() for tensor in draw(5))
        w = weight.clone().requires_grad_()
        few = b[place]
        second = few if places else torch.zeros_like(b).index_copy(0, place, few)
        y = apply_polynomials(
            csr, w, rows, (a, second), chebyshev=chebyshev, stats=SolveStats(), places=places
        )
        y.pow(3).sum().backward()
        results.append([y.detach(), *(t.grad for t in (rows, a, b, w))])
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("wanted", ["input", "weight"])
def test_the_backward_pass_costs_as_many_products_and_those_it_repeats(operator, wanted):
    csr, weight, _ = operator
    rows, a, b = draw(8)
    leaf = (a if wanted == "input" else weight.clone()).requires_grad_()
    stats = SolveStats()
    weight = weight if wanted == "input" else leaf
    y = apply_polynomials(csr, weight, rows, (a, b), chebyshev=False, stats=stats)
    y.sum().backward()
    # On a small graph all states are kept.
    assert (stats.nfe_forward, stats.nfe_backward) == (8, 8)
    assert leaf.grad is not None
    assert b.grad is None


def test_wide_features_of_many_edges_are_computed_in_blocks_of_channels(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    dense = torch.rand(40, 40, generator=generator, dtype=torch.float64)
    dense = dense / dense.sum(1, keepdim=True)
    row, col = dense.nonzero().unbind(1)
    csr = CSR.from_coo(row, col, 40, 40)
    rows = torch.randn(2, 9, generator=generator, dtype=torch.float64)
    v, s = torch.randn(2, 40, 96, generator=generator, dtype=torch.float64)
    place = torch.tensor([4, 1])
    found = []
    for cached, blocks in ((40 * 8 * 32, 3), (2**30, 1)):
        monkeypatch.setattr(products, "_CACHED_BYTES", cached)
        assert products.channel_blocks(csr, v) == blocks
        leaves = [t.clone().requires_grad_() for t in (dense[row, col], rows, v, s[place])]
        stats = SolveStats()
        y = apply_polynomials(
            csr, *leaves[:2], leaves[2:], chebyshev=False, stats=stats, places=(None, place)
        )
        y.pow(3).sum().backward()
        assert (stats.nfe_forward, stats.nfe_backward) == (8, 8)
        found.append([y.detach(), *(leaf.grad for leaf in leaves)])
    torch.testing.assert_close(*found)
    powers = [torch.linalg.matrix_power(dense, k) for k in range(9)]
    few = torch.zeros_like(s).index_copy(0, place, s[place])
    expected = sum(p @ (rows[0, k] * v + rows[1, k] * few) for k, p in enumerate(powers))
    torch.testing.assert_close(found[0][0], expected)
