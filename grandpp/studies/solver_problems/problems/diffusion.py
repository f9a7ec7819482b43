"""Diffusion: GRAND-l on a graph and the heat equation of thesis section 5.4.1."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from grandpp.fields import LinearDiffusion
from grandpp.fields.base import csr_product, generator
from grandpp.graph import prepare_graph
from grandpp.layers import GRANDConv
from grandpp.solvers import solve
from grandpp.studies.solver_problems.problems.base import Problem


def grand(data: Data) -> Problem:
    """GRAND-l at T = 18.3 with random attention: 80 channels, 8 heads, float64.

    Args:
        data: A graph of N nodes; its features are not used.

    Returns:
        States ``[N, 80]``; the reference is the series of ``"exact"`` at 1e-13, which tests
        compare with ``torch.matrix_exp``.
    """
    torch.manual_seed(0)
    conv = GRANDConv(80, time=18.3, heads=8, attention_channels=128, attention="cosine").double()
    y0 = torch.randn(data.num_nodes, 80, dtype=torch.float64)
    field = conv.prepare(y0, data.edge_index)
    exact = solve(field, y0, (0.0, 18.3), solver="exact", rtol=1e-13).y
    return Problem(field, y0, 18.3, exact)


def diffusion1d(points: int = 128) -> Problem:
    """The heat equation on periodic points of [0, 1], thesis (5.18), exact by FFT.

    It starts from the density of the standard normal distribution on [0, 1]. With 128 points its
    fastest mode decays 64,516 times per unit of time.

    Args:
        points: Number n of grid points, spaced 1 / (n - 1). (default: ``128``)

    Returns:
        States ``[n, 1]``.
    """
    n, dx = points, 1 / (points - 1)
    nodes = torch.arange(n)
    neighbours = torch.cat([torch.stack([(nodes + s) % n, nodes]) for s in (1, -1)], dim=1)
    y0 = torch.exp(-((nodes.double() * dx) ** 2) / 2).unsqueeze(-1) / (2 * torch.pi) ** 0.5
    graph = prepare_graph(neighbours, n)
    prior = graph.prior(None, 0.0, like=y0)
    alpha = torch.tensor(2 / dx**2, dtype=torch.float64)
    values = generator(graph, prior / 2, alpha)
    field = LinearDiffusion(graph, prior, prior / 2, values, alpha, None, csr_product, True)
    modes = torch.fft.fftfreq(n, dtype=torch.float64) * 2 * torch.pi
    decay = torch.exp(-alpha * (1 - modes.cos())).unsqueeze(-1)
    return Problem(field, y0, 1.0, torch.fft.ifft(torch.fft.fft(y0, dim=0) * decay, dim=0).real)
