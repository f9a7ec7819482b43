"""A whole graph in one object: a PyG Data, and the file that torch.save made of it."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import (
    BaseStorage,
    EdgeStorage,
    GlobalStorage,
    NodeStorage,
)

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.edges import EdgeList, check_weight
from grandpp.data.graph_files.labels import Labels
from grandpp.data.graph_files.raw import read_content
from grandpp.data.graph_files.rows import Features, check_finite, sound
from grandpp.data.graph_files.summary import GraphSummary

# What a file saved from a PyG Data names, besides tensors and numbers.
_SAFE = [
    Data, DataEdgeAttr, DataTensorAttr, BaseStorage, GlobalStorage, NodeStorage, EdgeStorage,
    GraphSummary,
]  # fmt: skip
MASKS = ("train_mask", "val_mask", "test_mask")


@dataclass(frozen=True, eq=False)
class Bundle:
    """What one file holds of a graph; rows follow the order of its nodes.

    Args:
        edges: The edges.
        features: The features, or ``None``.
        labels: The labels, or ``None``.
        masks: Boolean masks of nodes by name.
        notes: What a user may want to know of the file, in sentences.
    """

    edges: EdgeList
    features: Features | None
    labels: Labels | None
    masks: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def read_pyg(path: Path) -> Bundle:
    """Read a PyG Data, or a dictionary of its tensors, saved with ``torch.save``.

    Only tensors, numbers, text and PyG's own classes are loaded (``weights_only``).

    Raises:
        GraphFileError: The file holds anything else, or no graph.
    """
    content = read_content(path)
    try:
        with torch.serialization.safe_globals(_SAFE):
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("Please file an issue")[0].splitlines()
        words = next((line for line in reason if "Unsupported" in line or "GLOBAL" in line), "")
        raise GraphFileError(
            f"{path}: expected a PyG Data saved with torch.save; a file with other objects is not "
            f"read, as it can run code ({words.strip() or reason[0]})"
        ) from None
    except Exception as error:  # torch raises whatever a broken file makes it stumble over
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise GraphFileError(
            f"{path}: expected a PyG Data saved with torch.save (got: {first})"
        ) from None
    if isinstance(found, dict):
        found = Data.from_dict({str(key): value for key, value in found.items()})
    if not isinstance(found, Data):
        raise GraphFileError(f"{path}: expected a PyG Data (got {type(found).__name__})")
    return bundle_of(found, path)


def bundle_of(data: Data, path: Path) -> Bundle:
    """Take edges, features, labels and masks from a PyG Data.

    Raises:
        GraphFileError: One of these is missing, or of a wrong shape, type or value.
    """
    edge_index, x = data.get("edge_index"), data.get("x")
    if not isinstance(edge_index, Tensor):
        raise GraphFileError(f"{path}: expected a Data with a tensor 'edge_index' (got none)")
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.dtype != torch.long:
        raise GraphFileError(
            f"{path}: expected 'edge_index' of shape [2, edges] and type torch.int64 "
            f"(got {list(edge_index.shape)}, {edge_index.dtype})"
        )
    most = int(edge_index.max()) + 1 if edge_index.numel() else 0
    n = x.size(0) if isinstance(x, Tensor) and x.dim() else _count_nodes(data, most)
    if edge_index.numel() and (int(edge_index.min()) < 0 or most > n):
        wrong = int(edge_index.min()) if int(edge_index.min()) < 0 else most - 1
        raise GraphFileError(f"{path}: expected edge indices in 0 .. {n - 1} (got {wrong})")
    ids = names_of(data.get("node_ids"), n)
    edges = EdgeList(
        np.arange(n) if ids is None else ids,
        edge_index.numpy().astype(np.int64),
        _edge_weight(data, edge_index.size(1), path),
        ordered=True,
        unused=("edge_attr",) if "edge_attr" in data else (),
    )
    features = None
    if isinstance(x, Tensor):
        values = _scipy(x) if x.layout != torch.strided else x.numpy()
        x = check_finite(values, lambda row: f"{path}, node {row}")
        given = data.get("feature_names")
        names = list(given) if isinstance(given, list) and len(given) == x.shape[1] else None
        features = Features(None, x, names, f"{x.shape[1]} columns of {path.name}")
    masks = {name: data[name] for name in MASKS if _is_mask(data.get(name), n)}
    notes = tuple(
        f"{name} of {path.name} is not used: expected a mask of {n:,} nodes, type bool (got "
        f"{data[name].dtype} of shape {list(data[name].shape)})"
        for name in MASKS
        if name not in masks and isinstance(data.get(name), Tensor)
    )
    return Bundle(edges, features, _labels(data, n, path), masks, notes)


def integer_labels(y: NDArray[Any], names: Any, path: Path) -> Labels:
    """Labels that are numbers already, -1 or NaN where none is known.

    Raises:
        GraphFileError: There is not one whole number of at least -1 per node.
    """
    if y.dtype.kind == "f" and y.ndim == 1:  # the type of integers beside NaN
        whole = np.isnan(y) | ((y % 1 == 0) & (np.abs(y) < 2**53))
        y = np.where(np.isnan(y), -1, y).astype(np.int64) if whole.all() else y
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise GraphFileError(
            f"{path}: expected one integer label per node (got {y.dtype}, shape {list(y.shape)})"
        )
    y = y.astype(np.int64)
    if y.size and int(y.min()) < -1:
        raise GraphFileError(f"{path}: expected labels >= 0, or -1 for none (got {int(y.min())})")
    count = int(y.max(initial=-1)) + 1
    text = names_of(names, None)
    classes = [str(i) for i in range(count)]
    if text is not None and text.dtype.kind == "O" and len(text) >= count:
        classes = text.tolist()
    return Labels(None, y, classes)


def _labels(data: Data, n: int, path: Path) -> Labels | None:
    y = data.get("y")
    if not isinstance(y, Tensor):
        return None
    y = y.squeeze(-1) if y.dim() == 2 and y.size(1) == 1 else y
    labels = integer_labels(y.numpy(), data.get("class_names"), path)
    if labels.y.size != n:
        raise GraphFileError(f"{path}: expected {n} labels in 'y' (got {labels.y.size})")
    return labels


def _count_nodes(data: Data, most: int) -> int:
    """Number of nodes of a graph without features: as it says, else of edges and labels."""
    given, y = data.get("num_nodes"), data.get("y")
    if isinstance(given, int):
        return given
    return max(most, y.size(0) if isinstance(y, Tensor) and y.dim() else 0)


def _edge_weight(data: Data, num_edges: int, path: Path) -> NDArray[np.float64] | None:
    weight = data.get("edge_weight")
    if not isinstance(weight, Tensor):
        return None
    weight = weight.squeeze(-1) if weight.dim() == 2 else weight
    if weight.shape != (num_edges,) or weight.is_complex():
        raise GraphFileError(
            f"{path}: expected a real 'edge_weight' of shape [{num_edges}] (got {weight.dtype}, "
            f"{list(weight.shape)})"
        )
    found: NDArray[np.float64] = weight.detach().double().numpy()
    check_weight(found, lambda edge: f"{path}, edge {edge}")
    return found


def names_of(given: Any, count: int | None) -> NDArray[Any] | None:
    """Distinct names as integers or text, or ``None`` where there are none."""
    if not isinstance(given, list | tuple | np.ndarray) or len(given) == 0:
        return None
    values = np.asarray(given)
    if values.dtype.kind == "U":
        values = values.astype(object)
    if (
        values.ndim != 1
        or values.dtype.kind not in "iO"
        or (count is not None and len(values) != count)
    ):
        return None
    if values.dtype.kind == "O" and not all(isinstance(value, str) for value in values):
        return None
    return values if len(set(values.tolist())) == len(values) else None


def _scipy(x: Tensor) -> sp.csr_matrix:
    x = x.detach().to_sparse_csr()
    parts = (x.values().numpy(), x.col_indices().numpy(), x.crow_indices().numpy())
    return sound(sp.csr_matrix(parts, shape=tuple(x.shape)))


def _is_mask(value: Any, n: int) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.bool and value.shape == (n,)
