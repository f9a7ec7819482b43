"""Check the edges of a graph, and replace them."""

from __future__ import annotations

import copy
import math

from torch import Tensor
from torch_geometric.data import Data

from grandpp.data.checks import check_edges


def edges_of(data: Data) -> tuple[Tensor, Tensor | None, int]:
    """Check and return edges ``[2, E]``, their weights ``[E]`` if any, and the number of nodes.

    Raises:
        ValueError: If they are missing, of a wrong shape or type, or a weight is out of range.
        IndexError: If an edge names a node that does not exist.
    """
    edge_index, weight, n = data.get("edge_index"), data.get("edge_weight"), data.num_nodes
    if not isinstance(edge_index, Tensor) or n is None:
        raise ValueError("expected a graph with a tensor 'edge_index' and a number of nodes")
    check_edges(edge_index, n)
    if weight is not None:
        if weight.shape != (edge_index.size(1),):
            raise ValueError(
                f"expected 'edge_weight' of shape [{edge_index.size(1)}] (got {list(weight.shape)})"
            )
        bad = ~((weight >= 0) & (weight < math.inf))
        if bool(bad.any()):
            raise ValueError(
                f"expected finite and non-negative edge weights (got {float(weight[bad][0])})"
            )
    return edge_index, weight, n


def replace_edges(data: Data, edge_index: Tensor, edge_weight: Tensor | None = None) -> Data:
    """Return a shallow copy with other edges; attributes of the old edges are dropped."""
    result = copy.copy(data)
    num_nodes = data.num_nodes
    for name in data.edge_attrs():
        del result[name]
    result.edge_index = edge_index
    if edge_weight is not None:
        result.edge_weight = edge_weight
    if result.num_nodes != num_nodes:  # it was derived from the edges
        result.num_nodes = num_nodes
    return result
