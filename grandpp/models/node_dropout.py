"""Dropout whose draws belong to nodes, so that a graph on many processes drops as on one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BITS = 24
_LIMIT = 2**20  # numbers that are drawn at once
_GOLDEN, _FIRST, _SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


@dataclass(eq=False)
class NodeDropout:
    """Draws by a counter: a hash of the seed, the step, the node and the channel.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood 2014), chained. A node drops the same
    channels wherever it is, and whether features are dense or sparse.

    Args:
        seed: Seed of the training.
        nodes: Numbers of the nodes in the whole graph, int64 ``[n]``.

    Call :meth:`begin` before every step: the dropouts of a step are told apart by their order.
    """

    seed: int
    nodes: Tensor
    step: int = 0
    count: int = 0

    def begin(self, step: int) -> None:
        """Begin a step with this number."""
        self.step, self.count = step, 0

    def factors(self, rows: Tensor, columns: Tensor, p: float) -> Tensor:
        """The factor of every entry: 0, or 1 / (1 - p); float64.

        Args:
            rows: Their rows, int64, of nodes here.
            columns: Their channels, int64; broadcast with ``rows``.
            p: Probability of 0.
        """
        state = torch.zeros((), dtype=torch.int64)
        for number in (self.seed, self.step, self.count):
            state = _mix(state + number)
        nodes = _mix(self.nodes.to(rows.device)[rows] + state.to(rows.device))
        drawn = (_mix(nodes + columns) >> (64 - _BITS)) & (2**_BITS - 1)
        return (drawn >= round(p * 2**_BITS)).double() / (1 - p)

    def entries(self, values: Tensor, rows: Tensor, columns: Tensor, p: float) -> Tensor:
        """Drop entries ``[nnz]`` of sparse features."""
        parts = [
            self.factors(r, c, p).to(values.dtype)
            for r, c in zip(rows.split(_LIMIT), columns.split(_LIMIT), strict=True)
        ]
        self.count += 1
        return values * torch.cat(parts)

    def dense(self, x: Tensor, p: float, rows: Tensor | None = None) -> Tensor:
        """Drop channels of features ``[R, F]``.

        Args:
            x: The features.
            p: Probability of 0.
            rows: The rows of nodes here that they are of, indices or a mask.
                (default: ``None``, all)
        """
        index = torch.arange(self.nodes.numel(), device=x.device)
        index = index if rows is None else index[rows]
        columns, factors = torch.arange(x.size(1), device=x.device), torch.empty_like(x)
        length = max(1, _LIMIT // max(1, x.size(1)))
        for start in range(0, x.size(0), length):
            here = slice(start, start + length)
            factors[here] = self.factors(index[here, None], columns, p)
        self.count += 1
        return x * factors


def _mix(x: Tensor) -> Tensor:
    """The finaliser of SplitMix64 on 64 bits, in wrapping arithmetic."""
    x = x + _GOLDEN
    x = (x ^ _shifted(x, 30)) * _FIRST
    x = (x ^ _shifted(x, 27)) * _SECOND
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & (2 ** (64 - bits) - 1)  # without copies of the sign


def dropout(
    x: Tensor,
    p: float,
    training: bool,
    by_node: NodeDropout | None,
    rows: Tensor | None = None,
) -> Tensor:
    """:func:`torch.nn.functional.dropout`, or that of nodes; arguments as in :class:`NodeDropout`.

    Args:
        x: Features ``[R, F]``.
        p: Probability of 0.
        training: Whether to drop.
        by_node: Draws that belong to nodes; ``None``: those of torch's generator.
        rows: See :meth:`NodeDropout.dense`. (default: ``None``, all)
    """
    if by_node is None or not training or p == 0:
        return F.dropout(x, p, training)
    return by_node.dense(x, p, rows)


def drop_by_node(model: nn.Module, by_node: NodeDropout | None) -> None:
    """Let all parts of a model that drop features draw by node, or again by torch's generator."""
    for part in model.modules():
        if hasattr(part, "node_dropout"):
            part.node_dropout = by_node  # type: ignore[assignment]
