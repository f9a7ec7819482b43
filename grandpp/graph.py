r"""Edge conventions and the graph quantities that every diffusion model needs.

This is the one place that states the convention all of grandpp follows (PyG's default flow):
``edge_index[0]`` is the source j, ``edge_index[1]`` the target i, and an operator acts as

.. math:: (A x)_i = \sum_{j \to i} a_{ij} x_j .

"Row-stochastic" means that the weights of the edges with the same *target* sum to 1, so constants
are fixed points of :math:`x' = (A - I) x`. Every node carries a self-loop: with the requested
weight, or with weight 1 where a node would otherwise receive nothing (an isolated node keeps its
state).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch_geometric.utils import scatter, segment

from grandpp.linalg import CSR, check_range, normalize_rows
from grandpp.linalg.components import Classes, find_classes
from grandpp.linalg.tensor_cache import Prepared

__all__ = [
    "Graph",
    "check_edge_index",
    "degree",
    "dirichlet_energy",
    "prepare_graph",
    "row_normalize",
    "symmetric_normalize",
]

_DIFFERENCES = 2**22  # of features along edges that are held at once


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph with one self-loop per node, sorted by target, ready for many products.

    Entries (edges without loops, then one loop per node) are stored in the order of ``csr``;
    "user order" is the order of the ``edge_index`` it was prepared from.

    Args:
        csr: Pattern with targets as rows, ``[N, N]`` with E' + N entries.
        is_loop: Which entries are self-loops, bool ``[E' + N]``.
        keep: Positions of the user's edges that are not loops, int64 ``[E']``.
        loops: Positions of the user's own loops, int64 ``[L]``.
        loop_nodes: The nodes of those loops, int64 ``[L]``.
        num_edges: Number of edges the user gave.
    """

    csr: CSR
    is_loop: Tensor
    keep: Tensor
    loops: Tensor
    loop_nodes: Tensor
    num_edges: int

    @property
    def num_nodes(self) -> int:
        """Number of nodes N."""
        return self.csr.num_rows

    @cached_property
    def edge_index(self) -> Tensor:
        """Edges without loops in user order, then the loops: int64 ``[2, E' + N]``."""
        order = torch.empty_like(self.csr.perm)
        order[self.csr.perm] = torch.arange(order.numel(), device=order.device)
        return torch.stack([self.csr.col_long[order], self.csr.row[order]])

    def to_user_order(self, values: Tensor) -> Tensor:
        """Reorder values ``[E' + N]`` from the order of ``csr`` to that of ``edge_index``."""
        out = torch.empty_like(values)
        return out.index_copy(0, self.csr.perm, values)

    def is_symmetric(self, prior: Tensor) -> bool:
        """Whether the prior weights ``[nnz]`` are those of an undirected graph."""
        back = self.csr.transpose
        same = torch.equal(back.rowptr, self.csr.rowptr) and torch.equal(back.col, self.csr.col)
        return same and torch.equal(prior[back.perm], prior)

    @cached_property
    def classes(self) -> Classes:
        """Components and closed classes where every edge counts."""
        return find_classes(self.csr, torch.ones_like(self.is_loop))

    def classes_of(self, prior: Tensor) -> Classes:
        """Components and closed classes where edges of weight 0 do not count."""
        positive = prior.detach() > 0
        if bool((positive | self.is_loop).all()):
            return self.classes
        return find_classes(self.csr, positive)

    def prior(self, edge_weight: Tensor | None, self_loop_weight: float, like: Tensor) -> Tensor:
        """Return the non-negative weights attention starts from, in the order of ``csr``.

        Args:
            edge_weight: Weights in user order ``[E]``; ``None`` means 1 for every edge. Repeated
                edges, loops too, add up.
            self_loop_weight: Weight of the loop of a node that has none of its own.
            like: A tensor whose dtype and device the result takes.

        Returns:
            ``[E' + N]``; every target has at least one positive entry.

        Raises:
            TypeError: If the weights are no dense tensor.
            ValueError: If a weight is negative, complex or not finite, the type of ``like`` is too
                narrow for the weights of a target, or their number is not E.
        """
        n = self.num_nodes
        loop_weight = like.new_full((n,), self_loop_weight)
        if edge_weight is None:
            weight, own = like.new_ones(self.keep.numel()), like.new_ones(self.loops.numel())
        else:
            given = self._check_weight(edge_weight)
            edge_weight = given.to(like.dtype)
            weight, own = edge_weight[self.keep], edge_weight[self.loops]
        if own.numel():
            has_own = torch.zeros(n, dtype=torch.bool, device=like.device)
            has_own = has_own.index_fill(0, self.loop_nodes, True)
            own = scatter(own, self.loop_nodes, dim_size=n, reduce="sum")
            loop_weight = torch.where(has_own, own, loop_weight)
        received = scatter(weight, self._target_of_kept, dim_size=n, reduce="sum") + loop_weight
        if edge_weight is not None:
            sums = torch.empty_like(edge_weight)
            sums[self.keep] = received.detach()[self._target_of_kept]
            sums[self.loops] = received.detach()[self.loop_nodes]
            check_range(given, edge_weight, sums)
        loop_weight = torch.where(received > 0, loop_weight, torch.ones_like(loop_weight))
        return torch.cat([weight, loop_weight])[self.csr.perm]

    @cached_property
    def _target_of_kept(self) -> Tensor:
        return self.edge_index[1, : self.keep.numel()]

    def _check_weight(self, edge_weight: Tensor) -> Tensor:
        dense = isinstance(edge_weight, Tensor) and edge_weight.layout == torch.strided
        if not dense:
            layout = getattr(edge_weight, "layout", f"a {type(edge_weight).__name__}")
            raise TypeError(f"expected 'edge_weight' to be a dense tensor (got {layout})")
        if edge_weight.is_complex():
            raise ValueError(f"expected a real 'edge_weight' (got {edge_weight.dtype})")
        edge_weight = edge_weight.squeeze(-1) if edge_weight.dim() == 2 else edge_weight
        if edge_weight.dim() != 1 or edge_weight.numel() != self.num_edges:
            raise ValueError(
                f"expected 'edge_weight' of shape [{self.num_edges}], one per edge "
                f"(got {list(edge_weight.shape)})"
            )
        if not bool(((edge_weight >= 0) & edge_weight.isfinite()).all()):
            raise ValueError("expected finite, non-negative 'edge_weight' (got NaN, inf or < 0)")
        return edge_weight


def check_edge_index(edge_index: Tensor, num_nodes: int) -> None:
    """Check that ``edge_index`` is an integer ``[2, E]`` tensor of indices below ``num_nodes``.

    Raises:
        ValueError: If the shape or the dtype is wrong.
        IndexError: If an index is negative or not below ``num_nodes``.
    """
    wrong = edge_index.is_floating_point() or edge_index.is_complex()
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or wrong or edge_index.dtype == torch.bool:
        raise ValueError(
            f"expected an integer 'edge_index' of shape [2, E] "
            f"(got {edge_index.dtype} {list(edge_index.shape)})"
        )
    if edge_index.numel() == 0:
        return
    low, high = edge_index.aminmax()
    if int(low) < 0 or int(high) >= num_nodes:
        bad = int(low) if int(low) < 0 else int(high)
        raise IndexError(
            f"expected every index in 'edge_index' in [0, {num_nodes}), the number of nodes "
            f"(got {bad})"
        )


def prepare_graph(edge_index: Tensor, num_nodes: int) -> Graph:
    """Sort a graph once for many products; the result is remembered while the tensor lives.

    The remembered graph is used only if ``edge_index`` still holds the very same indices (one
    comparison of 2E integers), so it cannot go stale, however the tensor was changed. Equal tensors
    share one graph. At most 256 MiB of graphs are remembered, or the four used last where these are
    larger; with four heads a graph takes about 18 times the memory of its ``edge_index``.

    Args:
        edge_index: int64 ``[2, E]``.
        num_nodes: Number of nodes N.

    Raises:
        ValueError, IndexError: See :func:`check_edge_index`.

    Example:
        >>> graph = prepare_graph(torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> graph.num_nodes, graph.csr.col.tolist()  # sources, row by row
        (2, [0, 1, 0, 1])
    """
    if torch.is_inference_mode_enabled():
        # What is built here cannot be used by autograd later, so it is not remembered.
        check_edge_index(edge_index, num_nodes)
        return _build_graph(edge_index.long(), num_nodes)

    def build() -> tuple[Graph, int]:
        check_edge_index(edge_index, num_nodes)
        graph = _build_graph(edge_index.long(), num_nodes)
        return graph, _BYTES_PER_ENTRY * (edge_index.size(1) + num_nodes)

    return _PREPARED.get(edge_index, num_nodes, build)


_PREPARED: Prepared[Graph] = Prepared(budget=256 * 2**20, fewest=4)
# Of a graph in use with four heads, measured: both orders, in two widths, and the copies per head.
_BYTES_PER_ENTRY = 220


def _build_graph(edge_index: Tensor, num_nodes: int) -> Graph:
    loop = edge_index[0] == edge_index[1]
    keep, loops = (~loop).nonzero().view(-1), loop.nonzero().view(-1)
    nodes = torch.arange(num_nodes, device=edge_index.device)
    source = torch.cat([edge_index[0, keep], nodes])
    target = torch.cat([edge_index[1, keep], nodes])
    csr = CSR.from_coo(target, source, num_nodes, num_nodes)
    is_loop = csr.perm >= keep.numel()
    return Graph(csr, is_loop, keep, loops, edge_index[0, loops], edge_index.size(1))


def row_normalize(graph: Graph, values: Tensor) -> Tensor:
    """Divide values ``[nnz]`` or ``[nnz, H]`` by their sum over edges with the same target."""
    return normalize_rows(graph.csr, values)


def symmetric_normalize(graph: Graph, prior: Tensor) -> Tensor:
    """Values ``[nnz]`` of D^(-1/2) W D^(-1/2) from those of W, self-loops included."""
    scale = degree(graph, prior).rsqrt()
    return scale[graph.csr.row] * prior * graph.csr.at_columns(scale)[graph.csr.col_long]


def degree(graph: Graph, prior: Tensor) -> Tensor:
    """Weighted in-degree including the self-loop, ``[N]`` (d_i of the random walk).

    Uses torch-scatter's segment kernels where they are installed.
    """
    return segment(prior, graph.csr.rowptr.long(), reduce="sum")


def dirichlet_energy(x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
    r"""Smoothness of node features on a graph; 0 exactly for features constant per component.

    .. math:: E(x) = \frac{1}{2 N} \sum_{j \to i} w_{ij} \lVert x_i - x_j \rVert^2

    Args:
        x: Node features ``[N, F]``.
        edge_index: ``[2, E]`` with both directions of an undirected edge.
        edge_weight: ``[E]``. (default: ``None``, all ones)

    Returns:
        Scalar tensor.

    Example:
        >>> edge_index = torch.tensor([[0, 1], [1, 0]])
        >>> float(dirichlet_energy(torch.tensor([[0.0], [2.0]]), edge_index))
        2.0
    """
    check_edge_index(edge_index, x.size(0))
    weight = x.new_ones(()).expand(edge_index.size(1)) if edge_weight is None else edge_weight
    # Some edges at a time: differences along all of ogbn-arxiv's would take gigabytes.
    length = max(1, _DIFFERENCES // max(1, x.size(-1)))
    total = x.new_zeros(())
    for (source, target), w in zip(
        edge_index.split(length, dim=1), weight.split(length), strict=True
    ):
        total = total + ((x[target] - x[source]).square().sum(-1) * w).sum()
    return total / (2 * max(x.size(0), 1))
