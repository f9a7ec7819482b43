"""Sparse features, and every network that is no diffusion."""

from __future__ import annotations

import pytest
import torch

from grandpp.models import (
    GCNII,
    AdaLanczosNet,
    LanczosNet,
    MoNet,
    PredictThenPropagate,
    SimplifiedGCN,
    gat,
    gcn,
    mlp,
    sage,
)

NETWORKS = {
    "gcn": lambda: gcn(50, 8, 3, 0.5, input_dropout=0.5),
    "gat": lambda: gat(50, 8, 3, 0.5, 2, input_dropout=0.5),
    "mlp": lambda: mlp(50, 8, 3, 0.5, layers=3, input_dropout=0.5),
    "sage": lambda: sage(50, 8, 3, 0.5, layers=3, input_dropout=0.5),
    "monet": lambda: MoNet(50, 8, 3, input_dropout=0.5),
    "lanczosnet": lambda: LanczosNet(50, 8, 3, steps=6),
    "adalanczosnet": lambda: AdaLanczosNet(50, 8, 3, steps=6),
    "appnp": lambda: PredictThenPropagate(50, 8, 3),
    "gcnii": lambda: GCNII(50, 8, 3, layers=4),
    "sgc": lambda: SimplifiedGCN(50, 3, input_dropout=0.5),
}


@pytest.fixture
def sparse_x():
    torch.manual_seed(0)
    x = torch.randn(34, 50) * (torch.rand(34, 50) < 0.05)
    x[3] = 0
    return x


@pytest.fixture(params=NETWORKS)
def network(request):
    """Name and model of each network, in float32."""
    torch.manual_seed(0)
    return request.param, NETWORKS[request.param]()
