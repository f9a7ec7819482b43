"""Rows of a sparse matrix cut into chunks of bounded length, to balance GPU programs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LENGTH = 256
"""Entries in a piece at most."""


@dataclass(frozen=True, eq=False)
class RowChunks:
    """The work of a product with a matrix in compressed rows, one program per piece.

    The pieces of rows that are longer than one piece come first and leave partial results, which a
    second pass adds up in order: the sum does not depend on the order in which programs run. Every
    other row, an empty one too, is one piece.

    Args:
        row: Row of each piece, int64 ``[P]``.
        start, stop: Its first entry and the one after its last, int64 ``[P]``.
        split: Number of pieces of long rows, the first ones.
        long_row: The long rows, int64 ``[L]``.
        long_ptr: Where the pieces of each long row start, int64 ``[L + 1]``.
    """

    row: Tensor
    start: Tensor
    stop: Tensor
    split: int
    long_row: Tensor
    long_ptr: Tensor

    @classmethod
    def of(cls, rowptr: Tensor, length: int = LENGTH) -> RowChunks:
        """Cut rows with these offsets ``[num_rows + 1]``."""
        rowptr = rowptr.long()
        counts = rowptr.diff()
        is_long = counts > length
        long_row, short_row = is_long.nonzero().view(-1), (~is_long).nonzero().view(-1)
        number = (counts[long_row] + length - 1) // length
        long_ptr = torch.cat([number.new_zeros(1), number.cumsum(0)])
        row = torch.cat([long_row.repeat_interleave(number), short_row])
        split = row.numel() - short_row.numel()
        within = torch.arange(split, device=row.device)
        within = within - long_ptr[:-1].repeat_interleave(number, output_size=split)
        start = rowptr[row]
        start[:split] += length * within
        stop = torch.minimum(start + length, rowptr[row + 1])
        return cls(row, start, stop, split, long_row, long_ptr)
