"""Dense references that the fast code is compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.graph import Graph


def dense_random_walk(
    edge_index: Tensor,
    num_nodes: int,
    edge_weight: Tensor | None = None,
    self_loop_weight: float = 1.0,
) -> Tensor:
    """The operator D^-1 W built entry by entry, as a reference ``[N, N]`` in float64."""
    a = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    for e, (j, i) in enumerate(edge_index.t().tolist()):
        a[i, j] += 1.0 if edge_weight is None else edge_weight[e].double()
    for i in range(num_nodes):
        if not ((edge_index[0] == i) & (edge_index[1] == i)).any():
            a[i, i] = self_loop_weight
        if a[i].sum() == 0:
            a[i, i] = 1.0
    return a / a.sum(dim=1, keepdim=True)


def dense_symmetric(
    edge_index: Tensor, edge_weight: Tensor, num_nodes: int, loops: float = 0.0
) -> Tensor:
    """The operator D^-1/2 W D^-1/2 with loops of one weight, dense and in float64."""
    w = loops * torch.eye(num_nodes, dtype=torch.float64)
    for (j, i), value in zip(edge_index.t().tolist(), edge_weight.tolist(), strict=True):
        w[i, j] += value
    scale = w.sum(dim=1).rsqrt()
    return scale[:, None] * w * scale


def to_dense(graph: Graph, weight: Tensor) -> Tensor:
    """A dense matrix from values in the order of a prepared graph."""
    csr = graph.csr
    out = torch.zeros(csr.num_rows, csr.num_cols, dtype=weight.dtype)
    return out.index_put((csr.row, csr.col_long), weight, accumulate=True)


def dense_walk_measure(a: Tensor, start: Tensor, tau: float) -> Tensor:
    """exp(tau (A^T - I)) start."""
    return torch.matrix_exp(tau * (a.t() - torch.eye(len(a), dtype=torch.float64))) @ start


def dense_diffusion(a: Tensor, z0: Tensor, s: Tensor, tau: float) -> Tensor:
    """The solution at time tau of z' = (A - I) z + s, by one dense matrix exponential."""
    n, channels = z0.shape
    block = torch.zeros(n + channels, n + channels, dtype=torch.float64)
    block[:n, :n] = tau * (a - torch.eye(n, dtype=torch.float64))
    block[:n, n:] = tau * s
    return (torch.matrix_exp(block) @ torch.cat([z0, torch.eye(channels, dtype=torch.float64)]))[:n]


def dense_limit(a: Tensor, z0: Tensor, s: Tensor) -> Tensor:
    """The limit of the same at infinite time, for a source that has one.

    P = lim A^n by repeated squaring, and the group inverse of I - A.
    """
    eye = torch.eye(len(a), dtype=torch.float64)
    p = (a + eye) / 2
    for _ in range(50):
        p = p @ p
        p = p / p.sum(dim=1, keepdim=True)
    return p @ z0 + (torch.linalg.inv(eye - a + p) - p) @ s
