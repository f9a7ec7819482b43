"""Rewiring: replace the edges of a graph, as for the models GRAND-nl-rw and GRAND++-nl-rw."""

from __future__ import annotations

from typing import Any

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, TwoHop

from grandpp.data.diffusion_rewiring import DiffusionRewiring
from grandpp.data.edges import edges_of, replace_edges

_MOST_PATHS = 2**28  # of two edges: 4 GiB of indices


class TwoHopRewiring(BaseTransform):
    """Connect every node with the neighbours of its neighbours.

    Source: GRAND (https://arxiv.org/abs/2106.10934), option ``two_hop``; the edges are those of
    :class:`torch_geometric.transforms.TwoHop`: the old ones and one for every path of two edges,
    without new self-loops. Other attributes of edges are dropped.

    Raises:
        ValueError: If the graph has edge weights, which are not defined for two hops, or too many
            paths of two edges for memory.

    Note:
        Cost and memory are proportional to the number of paths, the sum of squared degrees.
    """

    def forward(self, data: Data) -> Data:
        """Return a copy of the graph with the new ``edge_index``."""
        edge_index, weight, n = edges_of(data)
        if weight is not None:
            raise ValueError("expected a graph without 'edge_weight' for two-hop rewiring")
        into, out_of = (torch.bincount(ends, minlength=n) for ends in edge_index.flip(0))
        paths = int((into * out_of).sum())
        if paths > _MOST_PATHS:
            raise ValueError(
                f"expected at most {_MOST_PATHS} paths of two edges (got {paths}); "
                "use kind='gdc' for a graph with such hubs"
            )
        # PyG needs contiguous edges for the product.
        joined = TwoHop()(Data(edge_index=edge_index.contiguous(), num_nodes=n))
        return replace_edges(data, joined.edge_index)


_KINDS = {"gdc": DiffusionRewiring, "two_hop": TwoHopRewiring}
REWIRINGS = tuple(_KINDS)


def rewire(data: Data, kind: str = "gdc", **options: Any) -> Data:
    """Return a graph with the same nodes and other edges; ``data`` is not changed.

    Args:
        data: Graph with ``edge_index`` ``[2, E]`` and, for ``"gdc"``, weights ``edge_weight``
            ``[E]`` if it has any.
        kind: ``"gdc"``, the largest entries of a diffusion kernel (see
            :class:`DiffusionRewiring`), or ``"two_hop"`` (see :class:`TwoHopRewiring`).
            (default: ``"gdc"``)
        **options: Arguments of :class:`DiffusionRewiring`, for example ``kernel="heat"``,
            ``t=3.0``, ``top_k=32``; ``"two_hop"`` has none.

    Returns:
        A shallow copy of ``data`` with a new ``edge_index`` and, for ``"gdc"``, ``edge_weight``;
        no other attribute of an edge is kept.

    Raises:
        ValueError: If the kind is unknown, an option is out of range, or the graph not supported.
        TypeError: If the kind has no such option.
        IndexError: If an edge names a node that does not exist.

    Example:
        >>> from grandpp.data import load_dataset
        >>> data = load_dataset("KarateClub")
        >>> rewire(data, "gdc", top_k=3).num_nodes == data.num_nodes
        True
    """
    if kind not in _KINDS:
        raise ValueError(f"expected 'kind' to be one of {', '.join(REWIRINGS)} (got {kind!r})")
    return _KINDS[kind](**options)(data)
