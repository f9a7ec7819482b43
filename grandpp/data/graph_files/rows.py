"""Rows of features with their node ids: how they are kept, checked and aligned."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from grandpp.data.errors import GraphFileError, array_fault
from grandpp.data.features import columns_by_name
from grandpp.data.graph_files.columns import node_header
from grandpp.data.graph_files.ids import Factor, some
from grandpp.data.graph_files.raw import kind_of, read_content
from grandpp.data.graph_files.tables import Table, fill_hint, read_table

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
        answers: Names of columns that hold labels and are no features.
    """

    ids: NDArray[Any] | None
    x: Matrix
    names: list[str] | None
    how: str
    notes: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


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
        raise GraphFileError(f"{path}: expected a .npy array (got: {array_fault(error)})") from None
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
        missing = int(np.isnan(values).sum())
        hint = fill_hint(missing, int(np.prod(found.shape))) if np.isnan(value) else ""
        raise GraphFileError(f"{where(row)}: expected finite features{within} (got {value}){hint}")
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

    A category or word that does not occur here is a column of zeros; a plain number, and a column
    that has categories, have to be here. Of columns with one name the first is the first there.

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
    wanted = columns_by_name(names, found.names)
    if kind_of(path) != ".json":
        _check_columns(names, wanted, found.names, path)
    present = np.flatnonzero(wanted >= 0)
    select = sp.csr_matrix(
        (np.ones(present.size, dtype=np.float32), (wanted[present], present)),
        shape=(len(found.names), len(names)),
    )
    if sp.issparse(found.x):
        x: Matrix = sp.csr_matrix(found.x @ select)
    else:
        x = np.zeros((found.x.shape[0], len(names)), dtype=np.float32)
        x[:, present] = found.x[:, wanted[present]]
    used = set(wanted.tolist())
    left = [name for i, name in enumerate(found.names) if i not in used]
    return replace(found, x=x, names=list(names)), left


def _check_columns(
    names: Sequence[str], wanted: NDArray[np.int64], found: Sequence[str], path: Path
) -> None:
    """Check that a column was found for each name but those of categories of a column.

    Raises:
        GraphFileError: One was not.
    """
    absent = [name for name, place in zip(names, wanted, strict=True) if place < 0]
    missing = [name for name in absent if "=" not in name]
    if missing:
        there = [name for name in found if name in missing]
        same = [name for name in names if name in missing]
        got = f"only {', '.join(there)}" if there else "none of that name"
        raise GraphFileError(f"{path}: expected columns {some(same)} (got {got})")
    columns = {name.partition("=")[0] for name in found if "=" in name}
    for name in absent:
        column, _, word = name.partition("=")
        if column not in columns:
            got = "numbers" if column in found else "none of that name"
            raise GraphFileError(
                f"{path}: expected a column '{column}' of words, such as '{word}' (got {got})"
            )
