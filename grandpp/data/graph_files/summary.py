"""What a graph read from files holds, and what was noticed on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch_geometric.data import Data

from grandpp.data.graph_files.edges import Merged
from grandpp.data.graph_files.ids import counted


@dataclass(frozen=True)
class GraphSummary:
    """Counts of a graph that :func:`grandpp.data.read_graph` read; ``lines()`` puts it in words.

    Args:
        num_nodes: Number of nodes.
        num_edges: Number of edges, each undirected one once.
        directed: Whether edges have a direction.
        weighted: Whether edges have weights.
        num_components: Number of (weakly) connected components.
        largest_component: Number of nodes of the largest one.
        num_isolated: Nodes without an edge to another node.
        repeated_edges: Edges of the file that were named before in the same direction.
        reversed_edges: Edges of the file that were named before in the other direction.
        self_loops: Edges of the file from a node to itself.
        self_loops_kept: Whether they are in the graph.
        num_features: Number of features.
        features: Where the features come from, in words.
        class_counts: Name of each class and its number of labelled nodes.
        num_labelled: Nodes with a known label.
        unlabelled_components: Components without a labelled node; 0 if there are no labels.
        unlabelled_component_nodes: Nodes in these.
        notes: Whatever else was noticed, a sentence each.
    """

    num_nodes: int
    num_edges: int
    directed: bool
    weighted: bool
    num_components: int
    largest_component: int
    num_isolated: int
    repeated_edges: int
    reversed_edges: int
    self_loops: int
    self_loops_kept: bool
    num_features: int
    features: str
    class_counts: tuple[tuple[str, int], ...]
    num_labelled: int
    unlabelled_components: int
    unlabelled_component_nodes: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        kind = "directed" if self.directed else "undirected"
        weights = ", weighted" if self.weighted else ""
        return ", ".join(
            [
                counted(self.num_nodes, "node", "nodes"),
                counted(self.num_edges, "edge", "edges") + f" ({kind}{weights})",
                counted(self.num_features, "feature", "features"),
                counted(len(self.class_counts), "class", "classes"),
                counted(self.num_labelled, "labelled node", "labelled nodes"),
            ]
        )

    def lines(self) -> list[str]:
        """The summary as sentences to print, one a line."""
        kind = "directed" if self.directed else "undirected"
        weights = "weighted" if self.weighted else "unweighted"
        lines = [
            f"{counted(self.num_nodes, 'node', 'nodes')}, "
            f"{counted(self.num_edges, 'edge', 'edges')} ({kind}, {weights})",
            f"{counted(self.num_components, 'component', 'components')}, the largest of "
            f"{counted(self.largest_component, 'node', 'nodes')}; "
            f"{counted(self.num_isolated, 'isolated node', 'isolated nodes')}",
            f"features: {self.features}",
        ]
        if self.class_counts:
            counts = ", ".join(f"{name} {count:,}" for name, count in self.class_counts[:20])
            more = ", ..." if len(self.class_counts) > 20 else ""
            lines.append(
                f"labels: {self.num_labelled:,} of {self.num_nodes:,} nodes, "
                f"{counted(len(self.class_counts), 'class', 'classes')} ({counts}{more})"
            )
        else:
            lines.append("labels: none")
        merged = self.repeated_edges + self.reversed_edges
        if merged:
            lines.append(
                f"{counted(merged, 'line repeats', 'lines repeat')} an edge "
                f"({self.reversed_edges:,} in the other direction): merged"
            )
        if self.self_loops:
            done = "kept" if self.self_loops_kept else "left out"
            loops = counted(self.self_loops, "self-loop was", "self-loops were")
            lines.append(f"{loops} {done}")
        if self.unlabelled_components:
            nodes = counted(self.unlabelled_component_nodes, "node", "nodes")
            lines.append(
                counted(self.unlabelled_components, "component", "components")
                + f" without a label ({nodes}): features alone tell the class there"
            )
        return [*lines, *self.notes]


def summarize(
    data: Data,
    merged: Merged,
    how: str,
    directed: bool,
    self_loops: bool,
    notes: tuple[str, ...],
) -> GraphSummary:
    """Count what a graph has; see :class:`GraphSummary`."""
    y, n = data.y.numpy(), data.y.numel()
    component = component_of_nodes(merged.edge_index, n)
    sizes = np.bincount(component)
    joined = np.zeros(n, dtype=bool)
    joined[merged.edge_index[:, merged.edge_index[0] != merged.edge_index[1]]] = True
    reached = np.zeros(sizes.size, dtype=bool)
    reached[component[y >= 0]] = True
    bare = ~reached & bool((y >= 0).any())
    counts = np.bincount(y[y >= 0], minlength=len(data.class_names)).tolist()
    return GraphSummary(
        num_nodes=n,
        num_edges=merged.num_edges,
        directed=directed,
        weighted=merged.weight is not None,
        num_components=sizes.size,
        largest_component=int(sizes.max(initial=0)),
        num_isolated=int((~joined).sum()),
        repeated_edges=merged.repeated,
        reversed_edges=merged.reversed,
        self_loops=merged.self_loops,
        self_loops_kept=self_loops,
        num_features=data.x.size(1),
        features=how,
        class_counts=tuple(zip(data.class_names, counts, strict=True)),
        num_labelled=int((y >= 0).sum()),
        unlabelled_components=int(bare.sum()),
        unlabelled_component_nodes=int(sizes[bare].sum()),
        notes=notes,
    )


def component_of_nodes(edge_index: NDArray[np.int64], num_nodes: int) -> NDArray[np.int64]:
    """Number of the weakly connected component of each node, int64 ``[N]``."""
    ones = np.ones(edge_index.shape[1], dtype=np.int8)
    matrix = coo_matrix((ones, tuple(edge_index)), shape=(num_nodes, num_nodes))
    _, label = connected_components(matrix, directed=False)
    return label.astype(np.int64)


def without_labelled_component(data: Data, mask: Tensor | None = None) -> Tensor:
    """Nodes in a (weakly) connected component that has no labelled node.

    What a diffusion model predicts there rests on their features alone.

    Args:
        data: Graph with ``edge_index`` ``[2, E]``, perhaps ``edge_weight`` ``[E]`` (edges of weight
            0 join nothing), and ``y`` ``[N]``, -1 where no label is known.
        mask: Which of the labelled nodes count, bool ``[N]``. (default: ``None``, all)

    Returns:
        bool ``[N]``.
    """
    labelled = data.y >= 0 if mask is None else (data.y >= 0) & mask
    edge_index, weight = data.edge_index, data.get("edge_weight")
    if weight is not None:  # an edge of weight 0 joins nothing
        edge_index = edge_index[:, weight.view(-1) > 0]
    component = component_of_nodes(edge_index.cpu().numpy(), data.y.numel())
    reached = np.zeros(component.max(initial=-1) + 1, dtype=bool)
    reached[component[labelled.cpu().numpy()]] = True
    return torch.from_numpy(~reached[component]).to(data.y.device)
