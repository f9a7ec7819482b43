"""Read the edges of a graph in chunks, from memory, NPY or Parquet, and summarise them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from grandpp.data import GraphFileError

CHUNK = 2**20
"""Edges that are held at once."""

Array = np.ndarray[Any, Any]


class Chunk(NamedTuple):
    """Some edges: sources and targets, int64 ``[K]``, and weights, float64 ``[K]`` or ``None``."""

    source: Array
    target: Array
    weight: Array | None


class EdgeList(ABC):
    """Edges from ``source`` to ``target``, both directions of an undirected edge among them."""

    weighted: bool
    name: str

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """Yield all edges in order, at most :data:`CHUNK` at a time."""


class ArrayEdges(EdgeList):
    """Edges in arrays, which may be memory-mapped.

    Args:
        edge_index: Integers ``[2, E]``.
        weight: Numbers ``[E]``. (default: ``None``)
        name: Name for messages. (default: ``"edge_index"``)
    """

    def __init__(
        self, edge_index: Array, weight: Array | None = None, name: str = "edge_index"
    ) -> None:
        if edge_index.ndim != 2 or edge_index.shape[0] != 2 or edge_index.dtype.kind not in "iu":
            raise GraphFileError(
                f"{name}: expected integers of shape [2, E] "
                f"(got {edge_index.dtype} {list(edge_index.shape)})"
            )
        self.edge_index, self.weight, self.name = edge_index, weight, name
        self.weighted = weight is not None

    def chunks(self) -> Iterator[Chunk]:
        """Yield all edges in order."""
        for start in range(0, self.edge_index.shape[1], CHUNK):
            here = slice(start, start + CHUNK)
            source, target = self.edge_index[:, here].astype(np.int64)
            weight = None if self.weight is None else self.weight[here].astype(np.float64)
            yield Chunk(source, target, weight)


class ParquetEdges(EdgeList):
    """Edges in the first two columns of a Parquet file, and weights in the third if there is one.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        from pyarrow.parquet import ParquetFile

        self.path, self.name = path, str(path)
        columns = ParquetFile(path).schema_arrow.names[:3]
        if len(columns) < 2:
            raise GraphFileError(f"{path}: expected columns of sources and targets (got {columns})")
        self.columns, self.weighted = columns, len(columns) == 3

    def chunks(self) -> Iterator[Chunk]:
        """Yield all edges in order."""
        from pyarrow.parquet import ParquetFile

        for batch in ParquetFile(self.path).iter_batches(CHUNK, columns=self.columns):
            source, target, *rest = (c.to_numpy(zero_copy_only=False) for c in batch.columns)
            if source.dtype.kind not in "iu" or target.dtype.kind not in "iu":
                raise GraphFileError(
                    f"{self.path}: expected integer node ids from 0 on (got {source.dtype}): "
                    "other ids are read from text formats"
                )
            values = rest[0] if self.weighted else None
            yield Chunk(
                source.astype(np.int64),
                target.astype(np.int64),
                None if values is None else values.astype(np.float64),
            )


@dataclass
class Summary:
    """Properties of a graph that one pass over its edges finds.

    Args:
        edges: Number of edges.
        nodes: One more than the largest node index.
        undirected: Whether every edge is there in both directions with the same weight.
        loops: Whether a node has an edge to itself.
    """

    edges: int = 0
    nodes: int = 0
    undirected: bool = True
    loops: bool = False


def summarize(edges: EdgeList, num_nodes: int | None = None) -> Summary:
    """Check and count edges in one pass, in the memory of a chunk.

    Edges and their reverses are compared by sums of 64-bit hashes, of which different edges agree
    with a probability of about 2^-64.

    Args:
        edges: The edges.
        num_nodes: Number of nodes. (default: ``None``, any)

    Raises:
        GraphFileError: For a node outside the graph, or a weight that is negative or not finite.
    """
    found, difference = Summary(), np.uint64(0)
    for source, target, weight in edges.chunks():
        if not source.size:
            continue
        low, high = min(source.min(), target.min()), max(source.max(), target.max())
        if low < 0 or (num_nodes is not None and high >= num_nodes):
            most = "" if num_nodes is None else f" and below {num_nodes}, the number of nodes"
            raise GraphFileError(
                f"{edges.name}: expected nodes from 0 on{most} (got {low if low < 0 else high})"
            )
        if weight is not None and not bool((np.isfinite(weight) & (weight >= 0)).all()):
            raise GraphFileError(f"{edges.name}: expected finite weights that are not negative")
        found.edges += source.size
        found.nodes = max(found.nodes, int(high) + 1)
        found.loops = found.loops or bool((source == target).any())
        with np.errstate(over="ignore"):
            forward = _hash(source, target, weight).sum(dtype=np.uint64)
            difference = difference + forward - _hash(target, source, weight).sum(dtype=np.uint64)
    found.undirected = int(difference) == 0
    return found


def _hash(a: Array, b: Array, weight: Array | None) -> Array:
    mixed = _mix(_mix(a.astype(np.uint64)) + b.astype(np.uint64))
    return mixed if weight is None else _mix(mixed ^ weight.view(np.uint64))


def _mix(x: Array) -> Array:
    """The finaliser of SplitMix64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def weak_components(edges: EdgeList, num_nodes: int) -> tuple[Array, int]:
    """The weakly connected component of each node, int64 ``[N]``, and their number.

    Edges of weight 0 do not count. One pass, in the memory of the nodes and of a chunk.
    """
    label, count = np.arange(num_nodes), num_nodes
    for source, target, weight in edges.chunks():
        if weight is not None:
            source, target = source[weight > 0], target[weight > 0]
        ends = label[source], label[target]
        graph = coo_matrix((np.ones(len(source), dtype=bool), ends), shape=(count, count))
        count, merged = connected_components(graph, directed=False)
        label = merged[label].astype(np.int64)
    return label, int(count)
