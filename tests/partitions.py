"""Graphs with planted classes for tests, with features and edges of several kinds."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

EDGES = {
    "homophilous": (0.05, 0.005),
    "random": (0.02, 0.02),
    "heterophilous": (0.002, 0.04),
    "none": (0.0, 0.0),
}


def planted(
    nodes: int = 300,
    classes: int = 3,
    *,
    kind: str = "classes",
    edges: str = "homophilous",
    features: int = 30,
    seed: int = 0,
) -> Data:
    """Node i is of class i modulo their number; degrees do not depend on the number of nodes."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(nodes) % classes
    inside, outside = (min(1.0, p * 600 / nodes) for p in EDGES[edges])
    chance = torch.where(y[:, None] == y, inside, outside)
    upper = (torch.rand(nodes, nodes, generator=generator) < chance).triu(1).nonzero().t()
    centre = 1.0 * torch.randn(classes, features, generator=generator)
    noise = torch.randn(nodes, features, generator=generator)
    x = {
        "classes": centre[y] + noise,
        "noise": noise,
        "words": (noise > 1).float(),
        "constant": torch.ones(nodes, features),
        "one-hot": torch.eye(nodes),
    }[kind]
    return Data(x=x, y=y, edge_index=torch.cat([upper, upper.flip(0)], dim=1))
