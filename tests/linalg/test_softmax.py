"""Softmax over the entries of rows, against a dense softmax and its promises."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.linalg import CSR, edge_softmax, normalize_rows

F64 = torch.float64


def row_sums(csr, values):
    return torch.zeros(csr.num_rows, *values.shape[1:], dtype=values.dtype).index_add(
        0, csr.row, values
    )


def one_by_one(csr, scores, prior):
    """The definition, row by row and head by head."""
    out = torch.empty_like(scores)
    for i in range(csr.num_rows):
        row = slice(int(csr.rowptr[i]), int(csr.rowptr[i + 1]))
        strength = prior[row].unsqueeze(-1) * scores[row].exp()
        out[row] = strength / strength.sum(0, keepdim=True)
    return out


@pytest.mark.parametrize("heads", [1, 3])
def test_softmax_equals_its_definition_with_empty_rows_and_duplicates(case, heads):
    csr, _, _ = case
    scores, prior = torch.randn(9, heads, dtype=F64), torch.rand(9, dtype=F64)
    torch.testing.assert_close(edge_softmax(csr, scores, prior), one_by_one(csr, scores, prior))
    ones = torch.ones(9, dtype=F64)
    torch.testing.assert_close(edge_softmax(csr, scores), one_by_one(csr, scores, ones))
    vector = edge_softmax(csr, scores[:, 0].contiguous(), prior)
    torch.testing.assert_close(vector, one_by_one(csr, scores, prior)[:, 0])


def test_softmax_of_a_full_matrix_is_the_dense_one():
    row, col = torch.meshgrid(torch.arange(4), torch.arange(5), indexing="ij")
    csr = CSR.from_coo(row.reshape(-1), col.reshape(-1), 4, 5)
    scores = torch.randn(4, 5, dtype=F64)
    got = edge_softmax(csr, scores.view(-1)).view(4, 5)
    torch.testing.assert_close(got, scores.softmax(1))


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(F64, 1e-15), (torch.float32, 1e-6), (torch.bfloat16, 1e-2), (torch.float16, 1e-3)],
)
def test_rows_sum_to_one_in_every_precision(case, dtype, tolerance):
    csr, _, _ = case
    scores = 3 * torch.randn(9, 4, generator=torch.Generator().manual_seed(1)).to(dtype)
    got = edge_softmax(csr, scores, torch.rand(9).add(0.1).to(dtype))
    assert got.dtype == dtype
    sums = row_sums(csr, got.double())[[0, 2, 4, 5]]
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=4 * tolerance)
    values = normalize_rows(csr, scores.abs() + 1)
    assert values.dtype == dtype
    sums = row_sums(csr, values.double())[[0, 2, 4, 5]]
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=4 * tolerance)


def test_a_thousand_small_values_are_summed_in_single_precision():
    row = torch.zeros(4000, dtype=torch.int64)
    csr = CSR.from_coo(row, torch.arange(4000), 1, 4000)
    got = normalize_rows(csr, torch.ones(4000, dtype=torch.float16))
    torch.testing.assert_close(got.double().sum(), torch.ones((), dtype=F64), rtol=1e-3, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, F64])
@pytest.mark.parametrize("size", [-1.0, 1.0])
def test_large_scores_do_not_overflow(case, dtype, size):
    csr, _, _ = case
    largest = size * torch.finfo(dtype).max / 4
    scores = torch.full((9, 2), largest, dtype=dtype)
    scores[0] = 2 * abs(largest)
    got = edge_softmax(csr, scores)
    assert torch.isfinite(got).all()
    assert got[:3].tolist() == [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    assert got[3:5].tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_entries_without_prior_neither_count_nor_set_the_scale(case):
    csr, _, _ = case
    scores = torch.zeros(9, dtype=torch.float32)
    scores[1] = 500.0
    prior = torch.ones(9)
    prior[1] = 0.0
    assert edge_softmax(csr, scores, prior)[:3].tolist() == [0.5, 0.0, 0.5]


def test_rows_without_any_prior_are_zero_and_so_are_their_gradients(case):
    csr, _, _ = case
    prior = torch.ones(9, dtype=F64)
    prior[:3] = 0.0
    scores = torch.randn(9, dtype=F64, requires_grad=True)
    got = edge_softmax(csr, scores, prior)
    assert got[:3].tolist() == [0.0, 0.0, 0.0]
    (grad,) = torch.autograd.grad((got * torch.randn(9)).sum(), scores, create_graph=True)
    assert grad[:3].tolist() == [0.0, 0.0, 0.0]
    (second,) = torch.autograd.grad(grad.square().sum(), scores)
    assert torch.isfinite(second).all()


@pytest.mark.parametrize("shape", [(9,), (9, 3)])
def test_first_and_second_derivatives_by_scores_and_prior(case, shape):
    csr, _, _ = case
    scores = torch.randn(shape, dtype=F64, requires_grad=True)
    prior = torch.rand(9, dtype=F64).add(0.5).requires_grad_()
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda s, w: edge_softmax(csr, s, w), (scores, prior))
        assert check(lambda s: edge_softmax(csr, s), (scores,))
        values = scores.detach().exp().requires_grad_()
        assert check(lambda v: normalize_rows(csr, v), (values,))


def test_a_shift_of_a_row_changes_nothing_and_its_gradient_sums_to_zero(case):
    csr, _, _ = case
    scores = torch.randn(9, 2, dtype=F64, requires_grad=True)
    shift = torch.randn(6, 2, dtype=F64)[csr.row]
    got = edge_softmax(csr, scores)
    torch.testing.assert_close(edge_softmax(csr, scores + shift), got)
    (grad,) = torch.autograd.grad((got * torch.randn(9, 2, dtype=F64)).sum(), scores)
    assert row_sums(csr, grad).abs().max() < 1e-14


def test_no_entries_give_no_values():
    none = torch.empty(0, dtype=torch.int64)
    csr = CSR.from_coo(none, none, 4, 3)
    assert edge_softmax(csr, torch.empty(0, 2)).shape == (0, 2)


@pytest.mark.parametrize("heads", [1, 3])
def test_the_gradient_to_a_prior_of_zero_is_the_one_sided_derivative(case, heads):
    csr, _, _ = case
    generator = torch.Generator().manual_seed(2)
    scores = 3 * torch.randn(9, heads, dtype=F64, generator=generator)
    scores[1] = 5.0  # far above those of its row that count
    prior = torch.rand(9, dtype=F64, generator=generator) + 0.5
    prior[[1, 4]] = 0.0
    way = torch.randn(9, heads, dtype=F64, generator=generator)

    def loss(w):
        return (edge_softmax(csr, scores, w) * way).sum()

    given = prior.clone().requires_grad_()
    (grad,) = torch.autograd.grad(loss(given), given, create_graph=True)
    step = 1e-7
    for e in (0, 1, 4):
        ahead = [
            prior.index_add(0, torch.tensor([e]), torch.tensor([k * step], dtype=F64))
            for k in (1, 2)
        ]
        # Of second order from one side.
        slope = (4 * loss(ahead[0]) - loss(ahead[1]) - 3 * loss(prior)) / (2 * step)
        torch.testing.assert_close(grad[e].detach(), slope, rtol=1e-5, atol=1e-6)
    (second,) = torch.autograd.grad(grad[1], given)
    torch.testing.assert_close(second, torch.autograd.functional.hessian(
        lambda w: (one_by_one(csr, scores, w)[:3] * way[:3]).sum(), prior)[1])  # fmt: skip


def test_the_gradient_to_a_prior_of_zero_is_right_wherever_a_number_can_say_it(case):
    csr, _, _ = case
    for score, factor in ((80.0, 1.0), (100.0, 1e-20), (200.0, 1e-30), (1e4, 1.0), (1e4, 0.0)):
        scores = torch.zeros(9)
        scores[1] = score
        prior = torch.ones(9)
        prior[1] = 0.0
        prior.requires_grad_()
        y = edge_softmax(csr, scores, prior)
        assert torch.isfinite(y).all()
        (factor * y[1]).backward()
        exact = factor * math.exp(min(score, 700.0)) / 2
        largest = torch.finfo(torch.float32).max
        assert prior.grad[1].item() == pytest.approx(min(exact, largest), rel=1e-4)
        assert torch.isfinite(prior.grad).all()
