"""Patterns: their order, their transpose, and the block matrix of many heads."""

from __future__ import annotations

import torch

from grandpp.linalg import CSR


def test_entries_are_sorted_by_row_and_column_and_know_where_they_were(case):
    csr, values, dense = case
    assert csr.row.tolist() == sorted(csr.row.tolist())
    assert csr.rowptr.tolist() == [0, 3, 3, 5, 5, 8, 9]
    assert csr.col_long.tolist() == [0, 3, 4, 2, 2, 0, 1, 3, 4]
    assert torch.equal(csr.matrix(values[csr.perm]).to_dense(), dense)


def test_transpose_holds_the_transposed_matrix_and_leads_back(case):
    csr, values, dense = case
    weight = values[csr.perm]
    back = csr.transpose
    assert torch.equal(back.matrix(weight[back.perm]).to_dense(), dense.t())
    again = back.transpose
    assert torch.equal(weight[back.perm][again.perm], weight)


def test_heads_are_the_same_matrix_on_interleaved_rows(case):
    csr, _, _ = case
    weight = torch.randn(9, 3, dtype=torch.float64)
    wide = csr.heads(3)
    assert wide is csr.heads(3)
    dense = wide.matrix(weight.view(-1)[wide.order]).to_dense().view(6, 3, 5, 3)
    for h in range(3):
        torch.testing.assert_close(dense[:, h, :, h], csr.matrix(weight[:, h]).to_dense())
        assert dense[:, h, :, (h + 1) % 3].abs().max() == 0
    assert torch.equal(wide.order[wide.place], torch.arange(27, dtype=wide.order.dtype))


def test_a_pattern_without_entries_has_heads_and_a_transpose():
    none = torch.empty(0, dtype=torch.int64)
    csr = CSR.from_coo(none, none, 4, 3)
    assert csr.heads(2).rowptr.tolist() == [0] * 9
    assert csr.transpose.rowptr.tolist() == [0] * 4
