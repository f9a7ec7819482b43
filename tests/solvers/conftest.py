"""A small operator that is known densely."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from grandpp.linalg import CSR


@pytest.fixture
def operator() -> tuple[CSR, Tensor, Tensor]:
    """A row-stochastic 6 x 6 matrix that is not symmetric: pattern, values and dense matrix."""
    generator = torch.Generator().manual_seed(3)
    full = torch.rand(6, 6, generator=generator, dtype=torch.float64)
    full = full * (full > 0.4) + torch.eye(6)
    full = full / full.sum(1, keepdim=True)
    row, col = full.nonzero(as_tuple=True)
    csr = CSR.from_coo(row, col, 6, 6)
    return csr, full[row, col][csr.perm], full
