"""Copies side by side: a block-diagonal matrix that knows its transpose."""

from __future__ import annotations

import torch

from grandpp.linalg import block_diagonal, spmm


def test_copies_are_the_blocks_of_a_diagonal_and_so_are_their_transposes(case):
    csr, _, _ = case
    values = torch.randn(3, csr.col.numel(), dtype=torch.float64)
    whole = block_diagonal(csr, 3)
    wanted = torch.block_diag(*(csr.matrix(v).to_dense() for v in values))
    weight = values.view(-1)
    assert torch.equal(whole.matrix(weight).to_dense(), wanted)
    assert whole.copies == 3
    back = whole.transpose
    assert torch.equal(back.matrix(weight[back.perm]).to_dense(), wanted.t())
    assert back.transpose.copies == 3
    assert torch.equal(weight[back.perm][back.transpose.perm], weight)
    assert whole.col.dtype == torch.int32


def test_gradients_pass_through_copies_as_through_each(case):
    csr, _, _ = case
    weight = torch.randn(2 * csr.col.numel(), dtype=torch.float64, requires_grad=True)
    x = torch.randn(2 * csr.num_cols, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w, v: spmm(block_diagonal(csr, 2), w, v), (weight, x))


def test_one_copy_is_the_pattern_itself_and_the_last_numbers_are_kept(case):
    csr, _, _ = case
    assert block_diagonal(csr, 1) is csr
    two, three = block_diagonal(csr, 2), block_diagonal(csr, 3)
    assert block_diagonal(csr, 2) is two
    block_diagonal(csr, 4)
    assert block_diagonal(csr, 3) is three
    assert block_diagonal(csr, 2) is not two
