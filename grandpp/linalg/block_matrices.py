"""Block-diagonal matrices of several copies of one sparsity pattern."""

from __future__ import annotations

import torch

from grandpp.linalg.csr import CSR

_REMEMBERED = 2


def block_diagonal(csr: CSR, copies: int) -> CSR:
    """Return the block-diagonal pattern of several copies; the last two are cached.

    Entries are ordered copy by copy: the values of the copies are concatenated.

    Args:
        csr: Pattern ``[num_rows, num_cols]`` of one copy.
        copies: How many.

    Returns:
        Pattern ``[copies * num_rows, copies * num_cols]``, its transpose cached.

    Cost: linear in the entries, once; sorts only where the pattern has no transpose yet.
    """
    if copies == 1:
        return csr
    kept = csr.__dict__.setdefault("_block_diagonals", {})
    if copies not in kept:
        whole, back = _blocks(csr, copies), _blocks(csr.transpose, copies)
        whole.__dict__["transpose"] = back
        back.__dict__["transpose"] = _blocks(csr.transpose.transpose, copies)
        while len(kept) >= _REMEMBERED:  # a batch shrinks run by run
            kept.pop(next(iter(kept)))
        kept[copies] = whole
    return kept[copies]


def _blocks(csr: CSR, copies: int) -> CSR:
    nnz, rows, cols = csr.col.numel(), copies * csr.num_rows, copies * csr.num_cols
    place = torch.arange(copies, device=csr.col.device).unsqueeze(1)
    starts = (csr.rowptr[:-1].long() + place * nnz).view(-1)
    rowptr = torch.cat([starts, starts.new_full((1,), copies * nnz)])
    col = (csr.col_long + place * csr.num_cols).view(-1)
    perm = (csr.perm + place * nnz).view(-1)
    small = csr.col.dtype == torch.int32 and max(rows, cols, copies * nnz) < 2**31
    index = torch.int32 if small else torch.int64
    return CSR(rowptr.to(index), col.to(index), rows, cols, perm, copies * csr.copies)
