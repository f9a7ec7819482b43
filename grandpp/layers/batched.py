"""Solve several layers of one kind on one graph as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grandpp.fields import JoinedDiffusion, LinearDiffusion
from grandpp.fields.base import csr_product
from grandpp.layers.grand_conv import GRANDConv
from grandpp.layers.grandpp_conv import GRANDPPConv
from grandpp.solvers import Exact, SolveStats, solve
from grandpp.vector_field import Rate

# Largest batched state on the CPU: a batch that exceeds the caches loses the time that fewer calls
# save. Of batches of 1, 2, 5 and 20 copies of Cora, 2 were the fastest, by little
# (benchmarks/batch_splits.py). Other devices batch everything.
_CACHED_BYTES = 2**21


class Solved(NamedTuple):
    """Features ``[N, F]`` of one layer at its end time, and the cost of the batched solve."""

    features: Tensor
    stats: SolveStats


def can_batch(conv: nn.Module) -> bool:
    """Whether :func:`solve_batched` accepts a layer: linear diffusion solved exactly."""
    known = isinstance(conv, GRANDConv | GRANDPPConv) and conv.mode == "linear"
    return known and isinstance(conv.solver, Exact)


def solve_batched(
    conv: GRANDConv | GRANDPPConv, bound: Sequence[tuple[LinearDiffusion, Tensor]]
) -> list[Solved]:
    """Solve several layers to their end time in one batch or a few.

    No layer is less accurate than when solved alone: the exact solver's number of products depends
    on rate, time and tolerance only, and its error bound at a node on the initial state and source
    of that node's layer.

    Args:
        conv: Any of the layers; they have its solver and its time.
        bound: Results of ``bind`` of each layer, on the same graph.

    Returns:
        One result per layer. Its cost is that of the batched solve: as many products as the layer
        with the largest rate needs.

    Raises:
        ValueError: If the layers cannot be joined.
        SolveError: If a solve fails; the error does not say because of which layer.

    Cost: as many products as for one layer, of B times the size; as much memory as B layers.
    """
    if not can_batch(conv):
        raise ValueError(f"expected linear diffusion with solver='exact' (got {conv})")
    if any(field.product is not csr_product for field, _ in bound):
        raise ValueError("expected layers without explainers and message-passing hooks (got some)")
    solved: list[Solved] = []
    for group in _groups(bound):
        fields, starts = zip(*group, strict=True)
        field: Rate = fields[0] if len(group) == 1 else JoinedDiffusion.of(fields)
        with torch.autocast(starts[0].device.type, enabled=False):
            solution = solve(field, torch.cat(starts), (0.0, conv.time), solver=conv.solver)
        ends = solution.y.split([len(y) for y in starts])
        solved += [Solved(y, solution.stats) for y in ends]
    return solved


def _groups(
    bound: Sequence[tuple[LinearDiffusion, Tensor]],
) -> list[Sequence[tuple[LinearDiffusion, Tensor]]]:
    """One group, or on the CPU groups of nearly equal size whose state fits into the cache."""
    if not bound:
        return []
    if any(field.graph is not bound[0][0].graph for field, _ in bound):
        return [[one] for one in bound]  # graphs that were prepared anew cannot be batched
    y = bound[0][1]
    fit = len(bound)
    if y.device.type == "cpu":
        fit = max(1, _CACHED_BYTES // max(1, y.numel() * y.element_size()))
    number = -(-len(bound) // fit)
    edges = [len(bound) * n // number for n in range(number + 1)]
    return [bound[a:b] for a, b in pairwise(edges)]
