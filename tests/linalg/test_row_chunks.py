"""Rows cut into pieces."""

from __future__ import annotations

import pytest
import torch

from grandpp.linalg import CSR
from grandpp.linalg.row_chunks import LENGTH, RowChunks


@pytest.mark.parametrize("counts", [[0, 3, 9, 4, 0, 8, 5], [4, 4], [0, 0], [1000], []])
def test_pieces_cover_every_entry_once_and_none_is_longer_than_allowed(counts):
    lengths = torch.tensor(counts, dtype=torch.int32)
    rowptr = torch.cat([lengths.new_zeros(1), lengths.cumsum(0, dtype=torch.int32)])
    chunks = RowChunks.of(rowptr, 4)
    assert bool((chunks.stop - chunks.start <= 4).all())
    seen = [
        (row, e)
        for row, start, stop in zip(*map(torch.Tensor.tolist, spans(chunks)), strict=True)
        for e in range(start, stop)
    ]
    row_of = torch.arange(len(counts)).repeat_interleave(lengths.long()).tolist()
    assert sorted(seen) == list(enumerate_rows(row_of))
    assert set(chunks.row.tolist()) == set(range(len(counts)))  # empty rows write their zeros
    long = [i for i, count in enumerate(counts) if count > 4]
    assert chunks.long_row.tolist() == long
    assert chunks.split == sum(-(-counts[i] // 4) for i in long)
    for i, first, last in zip(long, chunks.long_ptr[:-1], chunks.long_ptr[1:], strict=True):
        assert set(chunks.row[first:last].tolist()) == {i}
        assert torch.equal(chunks.start[first + 1 : last], chunks.stop[first : last - 1])


def spans(chunks):
    return chunks.row, chunks.start, chunks.stop


def enumerate_rows(row_of):
    return sorted((row, e) for e, row in enumerate(row_of))


def test_a_star_is_cut_and_kept():
    centre = torch.zeros(3 * LENGTH + 1, dtype=torch.int64)
    csr = CSR.from_coo(centre, torch.arange(centre.numel()), centre.numel(), centre.numel())
    assert csr.chunks.split == 4
    assert csr.chunks is csr.chunks
