"""A graph whose nodes are spread over the ranks of a job, for layers in place of ``edge_index``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor
from torch_geometric.utils import segment

from grandpp.distributed.exchange import RankReductions
from grandpp.distributed.matrix import RowShard
from grandpp.graph import Graph
from grandpp.linalg import check_range
from grandpp.linalg.components import Classes


@dataclass(frozen=True, eq=False)
class ShardedGraph(Graph):
    """The rows of a graph that one rank holds; node features are those of its nodes, ``[n, F]``.

    :class:`grandpp.layers.GRANDConv` and :class:`grandpp.layers.GRANDPPConv` take it in place of
    ``edge_index``, with ``"exact"`` (or ``"auto"``) in linear mode, ``"tsit5"`` and the one-step
    methods of torchdiffeq. All ranks have to call the layer. Losses are summed over ranks: the
    gradient of a parameter is the sum of those of all ranks, see
    :func:`grandpp.distributed.sum_gradients`.

    Args:
        csr, is_loop, keep, loops, loop_nodes, num_edges: As in :class:`grandpp.graph.Graph`;
            ``keep``, ``loops`` and ``loop_nodes`` are empty.
        undirected: Whether the graph is undirected.
        spread_classes: Components and closed classes of the nodes here, in numbers of all ranks.
        weight: Weights of the entries, float64 ``[nnz]``; ``None``: 1.
        own_loop: Weight of the loops that a node has of its own, float64 ``[n]``, NaN where it has
            none; ``None``: no node has one.
    """

    undirected: bool = True
    spread_classes: Classes = None  # type: ignore[assignment]
    weight: Tensor | None = None
    own_loop: Tensor | None = None

    @property
    def reductions(self) -> RankReductions:
        """Reductions over all ranks."""
        csr: RowShard = self.csr  # type: ignore[assignment]
        return csr.ranks

    @property
    def edge_index(self) -> NoReturn:
        """Refuse: the edges are spread over ranks."""
        raise TypeError(
            "expected a whole graph (got a sharded one): explainers, message-passing hooks, "
            "overridden methods like message() and attention_weights() need all edges"
        )

    def to_user_order(self, values: Tensor) -> NoReturn:
        """Refuse, see :attr:`edge_index`."""
        raise TypeError(
            "expected a whole graph (got a sharded one): its edges are spread over ranks"
        )

    def is_symmetric(self, prior: Tensor) -> bool:
        """Whether the graph is undirected; the weights of loops do not matter."""
        return self.undirected

    @property
    def classes(self) -> Classes:
        """Components and closed classes, where edges of weight 0 do not count."""
        return self.spread_classes

    def classes_of(self, prior: Tensor) -> Classes:
        """Components and closed classes, where edges of weight 0 do not count."""
        return self.spread_classes

    def prior(self, edge_weight: Tensor | None, self_loop_weight: float, like: Tensor) -> Tensor:
        """The weights of the entries ``[nnz]``, see :meth:`grandpp.graph.Graph.prior`.

        Raises:
            ValueError: For weights beside those of the shard, or if the type of ``like`` is too
                narrow for these.
        """
        if edge_weight is not None:
            raise ValueError(
                "expected no 'edge_weight' beside a sharded graph, which has its own (got "
                f"{list(edge_weight.shape)})"
            )
        loop_weight = like.new_full((self.num_nodes,), self_loop_weight)
        if self.own_loop is not None:
            given = self.own_loop.to(like.device)
            loop_weight = torch.where(given.isnan(), loop_weight, given.to(like.dtype))
        if self.weight is None:
            values = like.new_ones(self.is_loop.numel())
        else:
            values = self.weight.to(like)
        values = torch.where(self.is_loop, loop_weight[self.csr.row], values)
        received = segment(values, self.csr.rowptr.long(), reduce="sum")
        if self.weight is not None:
            kept = ~self.is_loop
            sums = received[self.csr.row[kept]]
            check_range(self.weight[kept], values[kept], sums)
        alone = self.is_loop & (received == 0)[self.csr.row]
        return torch.where(alone, torch.ones_like(values), values)
