"""A small matrix that has every peculiarity."""

from __future__ import annotations

import pytest
import torch

from grandpp.linalg import CSR


@pytest.fixture
def case():
    """A rectangular 6 x 5 matrix with empty rows and a duplicate entry."""
    generator = torch.Generator().manual_seed(0)
    row = torch.tensor([4, 0, 0, 2, 2, 5, 0, 4, 4])
    col = torch.tensor([1, 3, 0, 2, 2, 4, 4, 0, 3])
    values = torch.randn(9, generator=generator, dtype=torch.float64)
    dense = torch.zeros(6, 5, dtype=torch.float64).index_put((row, col), values, accumulate=True)
    return CSR.from_coo(row, col, 6, 5), values, dense
