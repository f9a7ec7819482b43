"""Products on a matrix with a known transpose."""

from __future__ import annotations

import pytest
import torch

from grandpp.linalg import CSR, add_sampled_product, multiply, products, sddmm, spmm


def test_product_equals_the_dense_product_with_duplicates_and_empty_rows(case):
    csr, values, dense = case
    x = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(spmm(csr, values[csr.perm], x), dense @ x)


def test_product_takes_operands_that_are_not_contiguous(case):
    csr, values, dense = case
    x = torch.randn(3, 5, dtype=torch.float64).t()
    torch.testing.assert_close(spmm(csr, values[csr.perm], x), dense @ x)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.bfloat16, 2e-2), (torch.float16, 2e-3)],
)
@pytest.mark.parametrize("channels", [1, 3, 80, 81])
def test_both_products_in_every_precision(case, dtype, tolerance, channels):
    csr, values, dense = case
    x = torch.randn(5, channels, dtype=torch.float64, requires_grad=True)
    a = torch.randn(6, channels, dtype=torch.float64)
    weight = values[csr.perm].requires_grad_()
    expected = dense @ x
    wanted = torch.autograd.grad(expected, x, a)[0], (a @ x.T)[csr.row, csr.col_long]
    x, a = (v.detach().to(dtype).requires_grad_() for v in (x, a))
    weight = weight.detach().to(dtype).requires_grad_()
    y = spmm(csr, weight, x)
    got = torch.autograd.grad(y, (x, weight), a)
    for ours, reference in zip((y, *got), (expected, *wanted), strict=True):
        assert ours.dtype == dtype
        off = (ours.double() - reference).abs().max() / reference.abs().max()
        assert off <= tolerance * (1 + channels**0.5)


def test_both_products_have_right_first_and_second_derivatives(case):
    csr, values, _ = case
    weight = values.clone().requires_grad_()
    x = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    a = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    for function, inputs in ((spmm, (weight, x)), (sddmm, (a, x))):
        assert torch.autograd.gradcheck(lambda *v, f=function: f(csr, *v), inputs)
        assert torch.autograd.gradgradcheck(lambda *v, f=function: f(csr, *v), inputs)


@pytest.mark.parametrize("at_once", [0, 2**24])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_heads_are_separate_products_with_right_derivatives(case, at_once, dtype, monkeypatch):
    monkeypatch.setattr("grandpp.linalg.products._HEADS_AT_ONCE", at_once)
    csr, _, _ = case
    weight = torch.randn(9, 3, dtype=dtype, requires_grad=True)
    x = torch.randn(5, 3, 2, dtype=dtype, requires_grad=True)
    a = torch.randn(6, 3, 2, dtype=dtype, requires_grad=True)
    one_by_one = [spmm(csr, weight[:, h], x[:, h]) for h in range(3)]
    torch.testing.assert_close(spmm(csr, weight, x), torch.stack(one_by_one, 1))
    one_by_one = [sddmm(csr, a[:, h], x[:, h]) for h in range(3)]
    torch.testing.assert_close(sddmm(csr, a, x), torch.stack(one_by_one, 1))
    if dtype == torch.float64:
        for function, inputs in ((spmm, (weight, x)), (sddmm, (a, x))):
            assert torch.autograd.gradcheck(lambda *v, f=function: f(csr, *v), inputs)
            assert torch.autograd.gradgradcheck(lambda *v, f=function: f(csr, *v), inputs)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9])
def test_sampled_product_equals_gathered_inner_products_for_every_head(case, size):
    csr, _, _ = case
    a, b = torch.randn(6, 3, size), torch.randn(5, 3, size)
    expected = (a[csr.row] * b[csr.col_long]).sum(-1)
    torch.testing.assert_close(sddmm(csr, a, b), expected)


def test_a_matrix_without_entries_gives_zeros():
    none = torch.empty(0, dtype=torch.int64)
    csr = CSR.from_coo(none, none, 4, 3)
    assert torch.equal(spmm(csr, torch.empty(0), torch.randn(3, 2)), torch.zeros(4, 2))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("heads", [1, 2])
def test_a_pattern_may_hold_more_entries_than_the_dense_matrix(heads, dtype):
    row, col = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1]), torch.tensor([0, 1, 1, 0, 0, 0, 0, 1])
    csr = CSR.from_coo(row, col, 2, 2)
    a, b = torch.randn(2, heads, 3, dtype=dtype), torch.randn(2, heads, 3, dtype=dtype)
    a.requires_grad_(), b.requires_grad_()
    expected = (a[csr.row] * b[csr.col_long]).sum(-1)
    got = sddmm(csr, a, b)
    torch.testing.assert_close(got, expected)
    for mine, theirs in zip(
        torch.autograd.grad(got.sum(), (a, b)),
        torch.autograd.grad(expected.sum(), (a, b)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)
    weight = torch.rand(8, dtype=dtype, requires_grad=True)
    spmm(csr, weight, b[:, 0]).sum().backward()
    torch.testing.assert_close(weight.grad, b[:, 0].sum(-1)[csr.col_long])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [3, 16])
def test_samples_are_added_in_place(dtype, size):
    csr = CSR.from_coo(torch.tensor([0, 0, 2, 3]), torch.tensor([1, 1, 0, 2]), 4, 3)
    a, b, total = torch.randn(4, size), torch.randn(3, size), torch.randn(4)
    a, b, total = (v.to(dtype) for v in (a, b, total))
    products = (a.double()[csr.row] * b.double()[csr.col_long]).sum(-1)
    expected, place = total.double() - 2 * products, total.data_ptr()
    add_sampled_product(csr, a, b, total, -2.0)
    assert total.data_ptr() == place
    tol = 0.2 if dtype is torch.bfloat16 else 1e-5
    torch.testing.assert_close(total.double(), expected, rtol=tol, atol=tol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_product_may_overwrite_a_spare_tensor_whatever_it_holds(dtype):
    row, col = torch.tensor([0, 0, 1, 3, 3]), torch.tensor([1, 1, 0, 2, 3])
    csr = CSR.from_coo(row, col, 4, 4)
    weight, x = torch.rand(5, dtype=dtype), torch.randn(4, 9, dtype=dtype)
    spare = torch.full_like(x, torch.nan)
    torch.testing.assert_close(multiply(csr, weight, x, spare), multiply(csr, weight, x))


def test_wide_features_of_many_entries_are_multiplied_in_blocks(monkeypatch):
    torch.manual_seed(0)
    dense = torch.rand(30, 40)
    row, col = dense.nonzero().unbind(1)
    csr, weight = CSR.from_coo(row, col, 30, 40), dense[row, col]
    x = torch.randn(40, 96)
    whole = products.multiply(csr, weight, x)
    monkeypatch.setattr(products, "_CACHED_BYTES", 40 * 4 * 32)
    assert products.channel_blocks(csr, x) == 3
    torch.testing.assert_close(products.multiply(csr, weight, x), whole)
    torch.testing.assert_close(whole, dense @ x)
    assert products.multiply(csr, weight, x[:, :0]).shape == (30, 0)


@pytest.mark.parametrize(
    ("nodes", "entries", "channels", "blocks"),
    [
        (13381, 504937, 128, 4),  # 32 channels of each node fit into the cache of a core
        (2485, 60000, 80, 1),  # all of them do
        (19717, 108365, 128, 1),  # reading the few edges anew costs as much
        (10**6, 2 * 10**7, 128, 1),  # no block fits
        (13381, 504937, 127, 1),  # a prime
        (0, 0, 64, 1),
    ],
)
def test_the_number_of_blocks_follows_the_graph(nodes, entries, channels, blocks):
    index = torch.zeros(1, dtype=torch.int32)
    csr = CSR(index, index.expand(entries), nodes, nodes, index)
    assert products.channel_blocks(csr, torch.zeros(1, 1).expand(nodes, channels)) == blocks


@pytest.mark.parametrize("channels", [1, 8, 32])
def test_sampled_products_are_added_where_entries_are_more_than_places(channels):
    row, col = torch.tensor([0, 1, 0]).repeat(4), torch.tensor([1, 0, 0]).repeat(4)
    csr = CSR.from_coo(row, col, 2, 2)
    a, b = torch.randn(2, 2, channels, dtype=torch.float64)
    total = torch.ones(12, dtype=torch.float64)
    add_sampled_product(csr, a, b, total, 2.0)
    expected = 1 + 2 * (a @ b.t())[row, col][csr.perm]
    torch.testing.assert_close(total, expected)
