"""One graph from what its files hold: nodes of all files, edges, features, labels, a summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.edges import Merged, merge_edges
from grandpp.data.graph_files.ids import IntArray, counted, listed, some, union
from grandpp.data.graph_files.notices import Parts, graph_notices, id_notices
from grandpp.data.graph_files.rows import Features, align
from grandpp.data.graph_files.structural import structural_features
from grandpp.data.graph_files.summary import summarize


def assemble(
    parts: Parts,
    *,
    name: str,
    directed: bool,
    self_loops: bool,
    feature_names: Sequence[str] | None = None,
    structural_dimensions: int | None = None,
) -> Data:
    """Number the nodes of all parts and build the graph; see :func:`read_graph`.

    Raises:
        GraphFileError: Rows without ids cannot be matched with nodes, or files share no node.
    """
    edges, features, labels = parts.edges, parts.features, parts.labels
    order = _order(parts)
    known: list[NDArray[Any] | None] = [
        order,
        None if features is None else features.ids,
        None if labels is None else labels.ids,
        edges.ids,
    ]
    given = [part for part in known if part is not None]
    ids, numbers = union(given, rising=order is None)
    found = iter(numbers)
    in_order, in_features, in_labels = (None if p is None else next(found) for p in known[:3])
    in_edges = next(found)
    n = ids.size
    rows = in_order if features is not None and in_features is None else in_features
    told = in_order if labels is not None and in_labels is None else in_labels
    merged = merge_edges(
        in_edges[edges.ends], edges.weight, n, directed=directed, self_loops=self_loops
    )
    notes = [*parts.notes, *id_notices(parts, ids, in_order, in_features, in_labels, in_edges)]
    if features is None:
        x, names, how = _structural(merged, n, structural_dimensions, directed)
        if feature_names and feature_names[0] != names[0]:
            raise GraphFileError(
                f"{parts.places[0]}: expected features {some(feature_names)} (got none): name the "
                "file of features (--features)"
            )
        features, rows = Features(None, x, names, how), np.arange(n)
    if feature_names is not None:
        features, left = align(features, feature_names, parts.places[1] or parts.places[0])
        if left:
            notes.append(
                counted(len(left), "column of features is", "columns of features are")
                + f" not used ({some(left)})"
            )
    data = Data(x=_by_node(features.x, rows, n), edge_index=torch.from_numpy(merged.edge_index))
    if merged.weight is not None:
        data.edge_weight = torch.from_numpy(_single(merged.weight, parts.places[0]))
    y = np.full(n, -1, dtype=np.int64)
    if labels is not None:
        y[told] = labels.y
    data.y = torch.from_numpy(y)
    classes = list(labels.names) if labels is not None else []
    data.node_ids, data.class_names, data.num_classes = listed(ids), classes, len(classes)
    if features.names is not None:
        data.feature_names = list(features.names)
    for name_of_mask, value in parts.masks.items():
        mask = torch.zeros(n, dtype=torch.bool)  # nodes of other files are in none
        mask[torch.from_numpy(in_edges)] = value
        data[name_of_mask] = mask
    data.name = name
    notes += graph_notices(merged, edges, labels, y, classes)
    data.summary = summarize(data, merged, features.how, directed, self_loops, tuple(notes))
    return data


def _single(weight: NDArray[np.float64], path: Path) -> NDArray[np.float32]:
    """Weights of merged edges in float32.

    Raises:
        GraphFileError: Weights of a repeated edge add up to more than float32 holds.
    """
    with np.errstate(over="ignore"):
        single = weight.astype(np.float32)
    if not np.isfinite(single).all():
        raise GraphFileError(
            f"{path}: expected weights of a repeated edge whose sum is in the range of float32, at "
            f"most 3.4e+38 (got {weight.max():g})"
        )
    return single


def _order(parts: Parts) -> NDArray[Any] | None:
    """The order of the nodes if a file has one; checks rows without ids against it.

    Raises:
        GraphFileError: There are rows without ids, and their number or order is another one.
    """
    edges, features, labels = parts.edges, parts.features, parts.labels
    plain_rows = [
        (path, size)
        for path, part, size in (
            (parts.places[1], features, 0 if features is None else features.x.shape[0]),
            (parts.places[2], labels, 0 if labels is None else labels.y.size),
        )
        if part is not None and part.ids is None
    ]
    order, whose = parts.nodes, "the file of nodes"
    if order is None and edges.ordered:
        order, whose = edges.ids, str(parts.places[0])
    if not plain_rows:
        return order if order is not None else (features.ids if features is not None else None)
    if order is None:
        path, size = plain_rows[0]
        order, whose = np.arange(size), str(path)
        wrong = (
            [i for i in edges.ids if not 0 <= i < size]
            if edges.ids.dtype.kind == "i"
            else edges.ids
        )
        if len(wrong):
            raise GraphFileError(
                f"{path}: rows have no node ids, so ids in {parts.places[0]} were expected to be "
                f"0 .. {size - 1} (got {some(wrong)}); name the order with nodes (--nodes)"
            )
    for path, size in plain_rows:
        if size != order.size:
            raise GraphFileError(
                f"{path}: expected {order.size} rows, one per node of {whose} (got {size})"
            )
    return order


def _structural(
    merged: Merged, num_nodes: int, dimensions: int | None, directed: bool
) -> tuple[NDArray[np.float32], list[str], str]:
    x = structural_features(
        merged.edge_index, merged.weight, num_nodes, dimensions, directed=directed
    )
    names = ["log degree", *(f"spectral {i}" for i in range(1, x.shape[1]))]
    how = f"none given; log degree and a spectral embedding of {x.shape[1] - 1} dimensions"
    return x, names, how


def _by_node(x: Any, rows: IntArray | None, num_nodes: int) -> Tensor:
    """Features of all nodes, zeros where there is no row."""
    if rows is None or (rows.size == num_nodes and np.array_equal(rows, np.arange(num_nodes))):
        ordered = x
    elif sp.issparse(x):
        entries = (np.ones(rows.size, dtype=np.float32), (rows, np.arange(rows.size)))
        ordered = sp.csr_matrix(entries, shape=(num_nodes, rows.size)) @ x
    else:
        ordered = np.zeros((num_nodes, x.shape[1]), dtype=np.float32)
        ordered[rows] = x
    if not sp.issparse(ordered):
        return torch.from_numpy(ordered)
    ordered.sort_indices()
    return torch.sparse_csr_tensor(
        torch.from_numpy(ordered.indptr.astype(np.int64)),
        torch.from_numpy(ordered.indices.astype(np.int64)),
        torch.from_numpy(ordered.data.astype(np.float32)),
        ordered.shape,
        check_invariants=False,
    )
