"""Sparse features."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def sparse_x():
    torch.manual_seed(0)
    x = torch.randn(34, 50) * (torch.rand(34, 50) < 0.05)
    x[3] = 0
    return x
