"""Checks of a node-classification graph, to report errors before training starts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from grandpp.data.features import is_sparse, row_of_entries


def check_data(data: Data) -> None:
    """Check shapes, types and values of ``x``, ``edge_index`` and ``y``.

    Args:
        data: graph with features ``x`` ``[num_nodes, num_features]`` (floating point, dense or
            ``torch.sparse_csr``), ``edge_index`` ``[2, num_edges]`` (long) and labels ``y``
            ``[num_nodes]`` (long), -1 where none is known.

    Raises:
        ValueError: something is missing, of a wrong shape or type, a feature is NaN or infinite
            (how many, and at which node first), a label is below -1, or none is known.
        IndexError: an edge names a node that does not exist.
    """
    x = _tensor(data, "x")
    if x.dim() != 2 or not x.is_floating_point():
        raise ValueError(
            "expected features 'x' of shape [num_nodes, num_features] and a floating-point type "
            f"(got {list(x.shape)}, {x.dtype})"
        )
    if x.layout not in (torch.strided, torch.sparse_csr):
        raise ValueError(
            f"expected features 'x' dense or in the layout torch.sparse_csr (got {x.layout})"
        )
    sparse = is_sparse(x)
    bad = ~torch.isfinite(x.values() if sparse else x)
    if bad.any():
        first = int((row_of_entries(x)[bad] if sparse else bad.any(dim=1).nonzero())[0])
        raise ValueError(
            f"expected finite features (got {int(bad.sum())} NaN or infinite values, "
            f"the first at node {first})"
        )
    check_edges(_tensor(data, "edge_index"), x.size(0))
    _check_labels(_tensor(data, "y"), x.size(0))


def check_edges(edge_index: Tensor, num_nodes: int) -> None:
    """Check ``edge_index`` ``[2, num_edges]`` (long).

    Raises:
        ValueError: it is of a wrong shape or type.
        IndexError: an edge names a node that does not exist.
    """
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.dtype != torch.long:
        raise ValueError(
            "expected 'edge_index' of shape [2, num_edges] and type torch.int64 "
            f"(got {list(edge_index.shape)}, {edge_index.dtype})"
        )
    outside = edge_index[(edge_index < 0) | (edge_index >= num_nodes)]
    if outside.numel():
        raise IndexError(
            f"expected edge indices in 0 .. {num_nodes - 1} for {num_nodes} nodes "
            f"(got {int(outside[0])})"
        )


def _check_labels(y: Tensor, num_nodes: int) -> None:
    if y.dim() != 1 or y.size(0) != num_nodes or y.dtype != torch.long:
        raise ValueError(
            f"expected labels 'y' of shape [{num_nodes}] and type torch.int64 "
            f"(got {list(y.shape)}, {y.dtype})"
        )
    if num_nodes and int(y.min()) < -1:
        raise ValueError(f"expected labels >= 0, or -1 for none known (got {int(y.min())})")
    if num_nodes and int(y.max()) < 0:
        raise ValueError(f"expected a node with a known label (got -1 for all {num_nodes} nodes)")


def _tensor(data: Data, name: str) -> Tensor:
    value = data.get(name, None)
    if not isinstance(value, Tensor):
        raise ValueError(f"expected a graph with a tensor {name!r} (got {type(value).__name__})")
    return value
