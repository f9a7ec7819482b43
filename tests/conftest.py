"""Small graphs with known answers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.datasets import KarateClub
from torch_geometric.utils import to_undirected


@pytest.fixture
def karate() -> Tensor:
    """Edges of Zachary's karate club: 34 nodes, connected, undirected."""
    return KarateClub()[0].edge_index


@pytest.fixture
def path() -> Tensor:
    """The path 0 - 1 - 2 - 3."""
    return to_undirected(torch.tensor([[0, 1, 2], [1, 2, 3]]))


@pytest.fixture
def features() -> Tensor:
    """Random features of 34 nodes in float64."""
    generator = torch.Generator().manual_seed(7)
    return torch.randn(34, 8, generator=generator, dtype=torch.float64)
