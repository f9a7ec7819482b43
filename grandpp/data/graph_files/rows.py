"""Rows of features with their node ids: how they are kept, checked and aligned."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.columns import node_header
from grandpp.data.graph_files.ids import Factor, some
from grandpp.data.graph_files.raw import kind_of, read_content
from grandpp.data.graph_files.tables import Table, read_table

Matrix = Any  # an array or a csr_matrix of scipy


@dataclass(frozen=True, eq=False)
class Features:
    """Features as they are in the file.

    Args:
        ids: Node id of each row, or ``None`` where rows follow the order of the nodes.
        x: Finite features ``[rows, F]``, dense or compressed rows.
        names: Name of each column, or ``None`` where the file has no names.
        how: What was read, in words.
        notes: What a user may want to know of the file, in sentences.
    """

    ids: NDArray[Any] | None
    x: Matrix
    names: list[str] | None
    how: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeColumns:
    """Names of columns, or numbers counted from 1, that the user gave for the nodes."""

    node: str | None = None
    label: str | None = None
    header: bool | None = None


def read_node_table(path: Path, columns: NodeColumns) -> Table:
    """Read a table with a column of node ids."""

    def is_header(first: list[str], second: list[str]) -> bool:
        if columns.header is not None:
            return columns.header
        return node_header(first, second, (columns.node, columns.label))

    return read_table(path, is_header)


def content_table(path: Path) -> Table:
    """A LINQS ``.content`` file: node id, one column per word, label."""
    table = read_table(path, lambda first, second: False)
    if table.width < 3:
        raise GraphFileError(
            f"{table.where(0)}: expected a node id, features and a label (got {table.width} cells)"
        )
    return table


def unique_ids(found: Factor, where: Callable[[int], str], what: str) -> NDArray[Any]:
    """The ids of rows in their order, each once.

    Raises:
        GraphFileError: Two rows have one id; names both.
    """
    if found.values.size != found.codes.size:
        row = int(pd.Series(found.codes).duplicated().argmax())
        first = int((found.codes == found.codes[row]).argmax())
        raise GraphFileError(
            f"{where(row)}: expected one row of {what} per node (got a second one of "
            f"'{found.text(row)}', the first at {where(first).rsplit('/', 1)[-1]})"
        )
    return found.values


def read_array(path: Path) -> NDArray[Any]:
    """Read a ``.npy`` file of numbers ``[rows, F]`` or ``[rows]``; pickled objects are refused."""
    try:
        found = np.load(io.BytesIO(read_content(path)), allow_pickle=False)
    except GraphFileError:
        raise
    except Exception as error:  # numpy raises whatever a broken file makes it stumble over
        raise GraphFileError(f"{path}: expected a .npy array (got: {error})") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iufb":
        kind = getattr(found, "dtype", type(found).__name__)
        raise GraphFileError(f"{path}: expected an array of numbers (got {kind})")
    return found


def check_finite(found: Any, where: Callable[[int], str]) -> Matrix:
    """Features in float32, refused where they are NaN, infinite or of another shape.

    Args:
        found: Array or sparse matrix ``[rows, F]``.
        where: File and row, for messages.
    """
    if len(found.shape) != 2 or not found.shape[1]:
        raise GraphFileError(
            f"{where(0).split(',')[0]}: expected features of shape [nodes, columns] "
            f"(got {list(found.shape)})"
        )
    sparse = sp.issparse(found)
    if sparse:
        found = sp.csr_matrix(found)
        found.sum_duplicates()
    values = found.data if sparse else found
    if values.dtype.kind not in "iufb":
        raise GraphFileError(f"{where(0)}: expected real numbers (got {values.dtype})")
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    wrong = ~np.isfinite(small)
    if wrong.any():
        if sparse:
            row = int(np.searchsorted(found.indptr, wrong.argmax(), side="right")) - 1
            value = values[wrong][0]
        else:
            row = int(wrong.any(axis=1).argmax())
            value = values[row][wrong[row]][0]
        within = " in the range of float32" if np.isfinite(value) else ""
        raise GraphFileError(f"{where(row)}: expected finite features{within} (got {value})")
    if sparse:
        return sp.csr_matrix((small, found.indices, found.indptr), shape=found.shape)
    return np.ascontiguousarray(small)


def sound(matrix: Any) -> sp.csr_matrix:
    """A sparse matrix from a file in compressed rows; scipy's products trust its indices.

    Raises:
        ValueError: Indices are out of range or not in order.
    """
    if matrix.format in ("csr", "csc", "bsr"):
        matrix.check_format(full_check=True)
    return sp.csr_matrix(matrix)


def sound_parts(found: Any, name: str) -> sp.csr_matrix:
    """The matrix whose arrays are called ``name_data``, ``name_indices``, ... in an NPZ file."""
    parts = [found[f"{name}_{part}"] for part in ("data", "indices", "indptr", "shape")]
    shape = tuple(parts[3].tolist())
    matrix = sp.csr_matrix(tuple(parts[:3]), shape=shape)
    return sound(matrix)


def align(found: Features, names: Sequence[str], path: Path) -> tuple[Features, list[str]]:
    """Bring columns into the order of another graph's, by name.

    A category or word that does not occur here is a column of zeros; a plain number has to be here.

    Args:
        found: The features, with names.
        names: Names of the columns wanted.
        path: The file, for messages.

    Returns:
        The features, and the names of columns that were left out.
    """
    if found.names is None:
        if found.x.shape[1] != len(names):
            raise GraphFileError(
                f"{path}: expected {len(names)} columns of features (got {found.x.shape[1]})"
            )
        return found, []
    place = {name: i for i, name in enumerate(found.names)}
    missing = [n for n in names if n not in place and "=" not in n and kind_of(path) != ".json"]
    if missing:
        raise GraphFileError(f"{path}: expected columns {some(missing)} (got none of that name)")
    wanted = np.array([place.get(name, -1) for name in names], dtype=np.int64)
    present = np.flatnonzero(wanted >= 0)
    select = sp.csr_matrix(
        (np.ones(present.size, dtype=np.float32), (wanted[present], present)),
        shape=(len(place), len(names)),
    )
    if sp.issparse(found.x):
        x: Matrix = sp.csr_matrix(found.x @ select)
    else:
        x = np.zeros((found.x.shape[0], len(names)), dtype=np.float32)
        x[:, present] = found.x[:, wanted[present]]
    left = [name for name in found.names if name not in set(names)]
    return Features(found.ids, x, list(names), found.how, found.notes), left
