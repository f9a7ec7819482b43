"""NPZ files that hold a whole graph, in the layouts of benchmarks and of PyG."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.bundles import (
    MASKS,
    Bundle,
    bundle_of,
    integer_labels,
    names_of,
)
from grandpp.data.graph_files.edges import EdgeList, matrix_edges
from grandpp.data.graph_files.ids import factor_of, some
from grandpp.data.graph_files.labels import labels_of
from grandpp.data.graph_files.raw import read_content
from grandpp.data.graph_files.rows import Features, check_finite, sound_parts


def read_npz_bundle(path: Path) -> Bundle | None:
    """Read an NPZ file that holds a whole graph, or ``None`` if it has none of these layouts.

    * gnn-benchmark, `Shchur et al. (2018) <https://arxiv.org/abs/1811.05868>`_: ``adj_data``,
      ``adj_indices``, ``adj_indptr``, ``adj_shape``, the same of ``attr`` (or a dense
      ``attr_matrix``) and ``labels``; of ``node_names`` and ``class_names`` those that are text.
    * `Platonov et al. (2023) <https://arxiv.org/abs/2302.11640>`_: ``edges``, ``node_features``,
      ``node_labels``.
    * The attributes of a PyG Data: ``edge_index`` ``[2, E]`` or ``[E, 2]``, and perhaps ``x``,
      ``y``, ``edge_weight``, masks, ``node_ids``, ``class_names`` and ``feature_names``.

    Arrays of Python objects, which are pickles, are not read.

    Raises:
        GraphFileError: An array is not what it has to be.
    """
    content = read_content(path)
    layout = "the gnn-benchmark layout or the arrays of a PyG Data"
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            if "adj_data" in found.files:
                layout = "the gnn-benchmark layout"
                return _benchmark(path, found)
            if "edge_index" in found.files:
                return _pyg_arrays(path, found)
            if "edges" in found.files:
                return _edges_and_rows(path, found)
    except GraphFileError:
        raise
    except Exception as error:  # numpy raises whatever a broken file makes it stumble over
        raise GraphFileError(f"{path}: expected a graph in {layout} (got: {error})") from None
    return None


def _benchmark(path: Path, found: Any) -> Bundle:
    matrices = {}
    for name in ("adj", "attr"):
        if f"{name}_data" in found.files:
            matrices[name] = sound_parts(found, name)
        elif f"{name}_matrix" in found.files:
            matrices[name] = found[f"{name}_matrix"]
    edges = matrix_edges(matrices["adj"], path)
    n = edges.ids.size
    names = names_of(_plain(found, "node_names"), n)
    if names is not None:
        edges = EdgeList(names, edges.ends, edges.weight, ordered=True)
    labels = None
    if "labels" in found.files:
        labels = integer_labels(found["labels"], _plain(found, "class_names"), path)
    words = _plain(found, "attr_names")
    return Bundle(edges, _rows_of(path, matrices.get("attr"), words), labels, {})


def _edges_and_rows(path: Path, found: Any) -> Bundle:
    ends = found["edges"]
    ends = ends.T if ends.ndim == 2 and ends.shape[1] == 2 else ends
    if ends.ndim != 2 or ends.shape[0] != 2 or ends.dtype.kind not in "iu":
        raise GraphFileError(
            f"{path}: expected integer 'edges' of shape [edges, 2] (got {ends.dtype}, "
            f"shape {list(found['edges'].shape)})"
        )
    features = found["node_features"] if "node_features" in found.files else None
    labels = None
    if "node_labels" in found.files:
        labels = integer_labels(found["node_labels"], None, path)
    n = len(features) if features is not None else int(ends.max(initial=-1)) + 1
    if labels is not None and features is None:
        n = max(n, labels.y.size)
    if ends.size and not 0 <= ends.min() <= ends.max() < n:
        raise GraphFileError(
            f"{path}: expected edges between nodes 0 .. {n - 1} (got {ends.max()})"
        )
    edges = EdgeList(np.arange(n), ends.astype(np.int64), None, ordered=True)
    return Bundle(edges, _rows_of(path, features, None), labels, {})


def _pyg_arrays(path: Path, found: Any) -> Bundle:
    """Arrays that are called like the attributes of a PyG Data."""
    edge_index = _numbers(path, found, "edge_index", "iu")
    if edge_index.ndim == 2 and edge_index.shape[1] == 2 and edge_index.shape[0] != 2:
        edge_index = edge_index.T
    data = Data(edge_index=torch.from_numpy(edge_index.astype(np.int64)))
    for name in ("x", "edge_weight", *MASKS):
        if name in found.files:
            data[name] = torch.from_numpy(np.array(_numbers(path, found, name, "biuf")))
    for name in MASKS:
        mask = data.get(name)
        if mask is not None and bool(((mask == 0) | (mask == 1)).all()):
            data[name] = mask.bool()
    if "num_nodes" in found.files:
        data.num_nodes = int(_numbers(path, found, "num_nodes", "iu"))
    for name in ("node_ids", "class_names", "feature_names"):
        values = _plain(found, name)
        if values is not None and values.ndim == 1:
            data[name] = values.tolist()
    words = None
    if "y" in found.files:
        y = _numbers(path, found, "y", "biufU")
        words = factor_of(y.astype(object)) if y.dtype.kind == "U" and y.ndim == 1 else None
        y = np.zeros(y.shape, np.int64) if words is not None else y
        data.y = torch.from_numpy(y.astype(np.int64) if y.dtype.kind in "bu" else np.array(y))
    bundle = bundle_of(data, path)
    labels = bundle.labels
    if words is not None:
        labels = labels_of(None, words, lambda row: f"{path}, node {row}", None)
    left = [name for name in found.files if name not in data or _plain(found, name) is None]
    left = [name for name in left if name not in ("num_classes", "name")]
    notes = [*bundle.notes, *([f"arrays that were not used: {some(left, 10)}"] if left else [])]
    return replace(bundle, labels=labels, notes=tuple(notes))


def _numbers(path: Path, found: Any, name: str, kinds: str) -> NDArray[Any]:
    """An array of a file whose type is of certain kinds.

    Raises:
        GraphFileError: It has another type; names it.
    """
    what = "integers" if kinds == "iu" else "numbers or text" if "U" in kinds else "numbers"
    try:
        array: NDArray[Any] = found[name]
    except ValueError as error:
        got = "Python objects, which can run code when they are read"
        if "Object arrays" not in str(error):
            raise
        raise GraphFileError(f"{path}: expected {what} in array '{name}' (got {got})") from None
    if array.dtype.kind not in kinds:
        raise GraphFileError(f"{path}: expected {what} in array '{name}' (got {array.dtype})")
    return array


def _rows_of(path: Path, x: Any, names: Any) -> Features | None:
    if x is None:
        return None
    x = check_finite(x, lambda row: f"{path}, node {row}")
    text = names_of(names, x.shape[1])
    listed = None if text is None else [str(name) for name in text]
    return Features(None, x, listed, f"{x.shape[1]} columns of {path.name}")


def _plain(found: Any, name: str) -> Any:
    """An array of a file, or ``None`` where there is none or it holds Python objects."""
    if name not in found.files:
        return None
    try:
        return found[name]
    except ValueError:  # a pickle
        return None
