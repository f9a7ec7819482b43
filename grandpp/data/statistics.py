"""Summary statistics of a node-classification graph."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch_geometric.data import Data
from torch_geometric.utils import degree

from grandpp.data.features import entries_per_row


@dataclass(frozen=True)
class GraphStatistics:
    """Sizes, mixing, degrees and words of an undirected graph without self-loops.

    Args:
        num_nodes: number of nodes.
        num_edges: number of undirected edges.
        homophily: share of edges that join nodes of equal label, among those whose both ends have
            a known one; NaN if there are none.
        max_degree: largest number of neighbours.
        degree_deviation: standard deviation of the number of neighbours.
        degree_one_share: share of nodes with a single neighbour.
        degree_ten_share: share of nodes with ten or more neighbours.
        words_per_node: mean number of non-zero features.
    """

    num_nodes: int
    num_edges: int
    homophily: float
    max_degree: int
    degree_deviation: float
    degree_one_share: float
    degree_ten_share: float
    words_per_node: float


def graph_statistics(data: Data) -> GraphStatistics:
    """Compute the statistics of Cora that :func:`grandpp.data.sbm` imitates.

    Args:
        data: undirected graph with ``x``, ``edge_index`` (both orientations) and ``y``, -1 where
            no label is known.

    Example:
        >>> from grandpp.data import load_dataset
        >>> round(graph_statistics(load_dataset("KarateClub")).homophily, 3)
        0.756
    """
    source, target = data.edge_index
    ends = data.y[data.edge_index]
    first, second = ends[:, (ends >= 0).all(dim=0)]
    neighbours = degree(target, data.x.size(0), dtype=torch.float64)
    return GraphStatistics(
        num_nodes=data.x.size(0),
        num_edges=source.numel() // 2,
        homophily=float((first == second).double().mean()),
        max_degree=int(neighbours.max()),
        degree_deviation=float(neighbours.std(correction=0)),
        degree_one_share=float((neighbours == 1).double().mean()),
        degree_ten_share=float((neighbours >= 10).double().mean()),
        words_per_node=float(entries_per_row(data.x).double().mean()),
    )
