"""Several layers of one kind on one graph, solved as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from grandpp.fields import JoinedDiffusion, LinearDiffusion
from grandpp.fields.base import csr_product
from grandpp.layers.grand_conv import GRANDConv
from grandpp.layers.grandpp_conv import GRANDPPConv
from grandpp.solvers import Exact, SolveStats, solve

# On the CPU a joint state beyond the caches costs what the joint calls save: of 1, 2, 5 and 20
# copies of Cora together, 2 were the fastest (benchmarks/batch_splits.py), by little. Other devices
# join everything.
_CACHED_BYTES = 2**21


class Solved(NamedTuple):
    """The features ``[N, F]`` of one layer at its end time, and the cost of the joint solve."""

    features: Tensor
    stats: SolveStats


def can_batch(conv: nn.Module) -> bool:
    """Whether a layer is linear diffusion, solved exactly: what :func:`solve_batched` takes."""
    known = isinstance(conv, GRANDConv | GRANDPPConv) and conv.mode == "linear"
    return known and isinstance(conv.solver, Exact)


def solve_batched(
    conv: GRANDConv | GRANDPPConv, bound: Sequence[tuple[LinearDiffusion, Tensor]]
) -> list[Solved]:
    """Carry the states of several layers to their end time by joint solves.

    The exact solver chooses its number of products by the rate, the time and its tolerance alone,
    and bounds the error of every node by its own copy's initial state and source: no copy is less
    accurate than by itself.

    Args:
        conv: Any of the layers; they have its solver and its time.
        bound: What the ``bind`` of each layer returned, on one graph.

    Returns:
        One result per layer. The cost is that of the joint solve, whose products are those of the
        layer with the largest rate.

    Raises:
        ValueError: If the layers cannot be joined.
        SolveError: If a solve fails; which layer made it fail remains to be found out.

    Cost: as many products as for one layer, of B times the size; as much memory as B layers.
    """
    if not can_batch(conv):
        raise ValueError(f"expected linear diffusion with solver='exact' (got {conv})")
    if any(field.product is not csr_product for field, _ in bound):
        raise ValueError("expected layers without explainers and message-passing hooks (got some)")
    solved: list[Solved] = []
    for group in _groups(bound):
        fields, starts = zip(*group, strict=True)
        field: Any = fields[0] if len(group) == 1 else JoinedDiffusion.of(fields)
        with torch.autocast(starts[0].device.type, enabled=False):
            solution = solve(field, torch.cat(starts), (0.0, conv.time), solver=conv.solver)
        ends = torch.as_tensor(solution.y).split([len(y) for y in starts])
        solved += [Solved(y, solution.stats) for y in ends]
    return solved


def _groups(
    bound: Sequence[tuple[LinearDiffusion, Tensor]],
) -> list[Sequence[tuple[LinearDiffusion, Tensor]]]:
    """All in one group, or on the CPU groups of all but equal size whose state stays in cache."""
    if not bound:
        return []
    if any(field.graph is not bound[0][0].graph for field, _ in bound):
        return [[one] for one in bound]  # a graph that was sorted anew for every layer
    y = bound[0][1]
    fit = len(bound)
    if y.device.type == "cpu":
        fit = max(1, _CACHED_BYTES // max(1, y.numel() * y.element_size()))
    number = -(-len(bound) // fit)
    edges = [len(bound) * n // number for n in range(number + 1)]
    return [bound[a:b] for a, b in pairwise(edges)]
