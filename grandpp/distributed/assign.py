"""Assign the nodes of a graph to parts of equal size with few edges between them."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from grandpp.distributed.edges import Array, EdgeList

METHODS: tuple[str, ...] = ("metis", "label_propagation")
_ROUNDS = 20
_SLACK = 0.03  # by so much a part may be larger than the mean


def metis_is_there() -> bool:
    """Whether ``pymetis``, the extra ``[distributed]``, is installed."""
    try:
        import pymetis  # noqa: F401
    except ImportError:
        return False
    return True


def assign(edges: EdgeList, num_nodes: int, parts: int, method: str) -> Array:
    """Return the part of every node, int64 ``[N]``; every part has a node.

    Args:
        edges: Edges of the graph.
        num_nodes: Number of nodes N.
        parts: Number of parts, at most N.
        method: ``"metis"`` (Karypis and Kumar 1998, by pymetis), which holds all edges in memory,
            or ``"label_propagation"``, in linear time, a chunk of edges and N P counts at a time.

    Raises:
        ValueError: If there are more parts than nodes, or the method is unknown.
        ImportError: If pymetis is not installed.
    """
    if not 1 <= parts <= num_nodes:
        raise ValueError(f"expected from 1 to {num_nodes} parts, the nodes (got {parts})")
    if method not in METHODS:
        raise ValueError(f"expected a method of {', '.join(METHODS)} (got '{method}')")
    if parts == 1:
        return np.zeros(num_nodes, dtype=np.int64)
    found = _metis if method == "metis" else _propagate
    part = found(edges, num_nodes, parts)
    for empty in np.flatnonzero(np.bincount(part, minlength=parts) == 0):
        largest = np.bincount(part, minlength=parts).argmax()
        part[np.flatnonzero(part == largest)[0]] = empty
    return part


def _metis(edges: EdgeList, num_nodes: int, parts: int) -> Array:
    try:
        import pymetis
    except ImportError as error:
        raise ImportError(
            "expected pymetis for method 'metis': pip install 'grandpp[distributed]', or use "
            "method 'label_propagation'"
        ) from error
    index = np.int32 if num_nodes < 2**31 else np.int64
    halves = []
    for source, target, _ in edges.chunks():
        other = source != target
        halves.append(np.stack([source[other], target[other]]).astype(index))
    ends = np.concatenate([*halves, np.empty((2, 0), dtype=index)], axis=1)
    del halves
    # METIS wants every edge in both directions, once.
    graph = csr_matrix((np.ones(ends.shape[1], dtype=bool), tuple(ends)), (num_nodes, num_nodes))
    del ends
    graph = (graph + graph.T).tocsr()
    found = pymetis.part_graph(parts, pymetis.CSRAdjacency(graph.indptr, graph.indices))
    return np.asarray(found.vertex_part, dtype=np.int64)


def _propagate(edges: EdgeList, num_nodes: int, parts: int) -> Array:
    """Label propagation between parts of bounded size, from blocks of consecutive nodes.

    In each round a random half of the nodes may move to the part that most neighbours are in; of
    those that gain by moving, the ones that gain most move, as many as size allows.
    """
    part = np.arange(num_nodes) * parts // num_nodes
    random, most = np.random.default_rng(0), int((1 + _SLACK) * num_nodes / parts) + 1
    for _ in range(_ROUNDS):
        counts = np.zeros((num_nodes, parts), dtype=np.int32)
        for source, target, _ in edges.chunks():
            other = source != target
            for here, there in ((source, target), (target, source)):
                np.add.at(counts, (here[other], part[there[other]]), 1)
        wanted = counts.argmax(axis=1)
        every = np.arange(num_nodes)
        gain = counts[every, wanted] - counts[every, part]
        movers = np.flatnonzero((gain > 0) & (random.random(num_nodes) < 0.5))
        if not movers.size:
            break
        sizes = np.bincount(part, minlength=parts)
        # Rank movers within each pair of parts by their gain; an exchange leaves sizes alone.
        movers = movers[np.argsort(-gain[movers], kind="stable")]
        pair = part[movers] * parts + wanted[movers]
        order = np.argsort(pair, kind="stable")
        starts = np.searchsorted(pair[order], np.arange(parts * parts))
        rank = np.empty(movers.size, dtype=np.int64)
        rank[order] = np.arange(movers.size) - starts[pair[order]]
        flow = np.bincount(pair, minlength=parts * parts).reshape(parts, parts)
        room = np.maximum(0, most - sizes) // max(1, parts - 1)
        allowed = np.minimum(flow, flow.T + room[None, :]).reshape(-1)
        movers = movers[rank < allowed[pair]]
        part[movers] = wanted[movers]
    return part
