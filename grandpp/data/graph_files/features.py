"""Node features from tables, arrays and sparse matrices."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.columns import ANSWERS, node_column, plain
from grandpp.data.graph_files.json_files import json_features
from grandpp.data.graph_files.networks import node_table
from grandpp.data.graph_files.raw import NETWORKS, TABLES, kind_of, read_content
from grandpp.data.graph_files.rows import (
    Features,
    Matrix,
    NodeColumns,
    check_finite,
    content_table,
    read_array,
    read_node_table,
    sound,
    sound_parts,
    unique_ids,
)
from grandpp.data.graph_files.tables import Table, as_numbers

MAX_CATEGORIES = 100


def read_features(path: Path, columns: NodeColumns, max_categories: int) -> Features:
    """Read a file of features; its format is told by its name.

    Args:
        path: The file.
        columns: Columns of the ids and of the labels, which are not features.
        max_categories: Most different words of a column that is one-hot.

    Raises:
        GraphFileError: The file or a line of it is not what it has to be.
    """
    kind = kind_of(path)
    if kind in TABLES or kind in NETWORKS:
        table = node_table(path) if kind in NETWORKS else read_node_table(path, columns)
        return _features_of_table(table, columns, max_categories)
    if kind == ".content":
        return _read_linqs(path)
    if kind == ".json":
        return json_features(path)
    if kind == ".npy":
        x = check_finite(read_array(path), lambda row: f"{path}, row {row + 1}")
        return Features(None, x, None, f"{x.shape[1]} columns of {path.name}")
    if kind == ".npz":
        return _read_npz(path)
    raise GraphFileError(
        f"{path}: expected features as CSV, TSV, Parquet, NPY, sparse NPZ, JSON, LINQS .content, "
        f"GraphML or GML (got {kind or 'a name without a suffix'!r})"
    )


def _features_of_table(table: Table, columns: NodeColumns, max_categories: int) -> Features:
    node = node_column(table, columns.node, columns.label)
    ids = unique_ids(table.factor(node, "a node id"), table.where, "features")
    used = [c for c in range(table.width) if c != node and not _is_answer(table, c, columns.label)]
    if not used:
        raise GraphFileError(
            f"{table.where(0)}: expected columns of features beside the node id (got none)"
        )
    parts: list[Matrix] = []
    names: list[str] = []
    num_words = 0
    numeric = [c for c in used if table.frame[c].dtype.kind in "iufb"]
    dense = table.frame[numeric].to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(dense).all():
        for column in numeric:
            table.numbers(column, f"feature in column {table.name(column)}")
    if len(numeric) == len(used):
        parts, names = [dense], [_feature_name(table, c) for c in used]
    else:
        place = {c: i for i, c in enumerate(numeric)}
        for column in used:
            if column in place:
                parts.append(dense[:, place[column], None])
                names.append(_feature_name(table, column))
                continue
            part, own = _words_or_numbers(table, column, max_categories)
            num_words += len(own) > 0
            parts.append(part)
            names += own or [_feature_name(table, column)]
    x = check_finite(np.concatenate(parts, axis=1), table.where)
    how = f"{len(used)} columns of {table.path.name}"
    if num_words:
        how += f" ({num_words} with words, one-hot: {x.shape[1]} features)"
    return Features(ids, x, names, how)


def _words_or_numbers(
    table: Table, column: int, max_categories: int
) -> tuple[NDArray[np.float32], list[str]]:
    """A column of words one-hot, with its names; one of truth values or broken numbers as numbers.

    A column is one of numbers if at least half of its cells are: then a word in it is an error.
    """
    cells = table.frame[column]
    values = as_numbers(cells)
    filled = int(cells.notna().sum())
    name = table.name(column)
    if not filled or 2 * int((~np.isnan(values)).sum()) >= filled:
        values = table.numbers(column, f"feature in column {name}")
        return values[:, None].astype(np.float32), []
    words = table.factor(column)
    if len(words.values) > max_categories:
        raise GraphFileError(
            f"{table.path}: expected numbers or at most {max_categories} different words in column "
            f"{name} (got {len(words.values)} words, such as '{words.values[0]}')"
        )
    order = np.argsort(words.values.astype(str), kind="stable")
    known = words.codes >= 0
    x = np.zeros((words.codes.size, len(order)), dtype=np.float32)
    x[np.flatnonzero(known), np.argsort(order)[words.codes[known]]] = 1.0
    return x, [f"{_feature_name(table, column)}={words.values[i]}" for i in order]


def _feature_name(table: Table, column: int) -> str:
    return table.names[column] if table.names else str(column + 1)


def _is_answer(table: Table, column: int, label: str | None) -> bool:
    """Whether a column holds the labels, which are no features."""
    if label is not None and str(label).isdigit() and str(label) not in table.names:
        return column == int(label) - 1
    if not table.names:
        return False
    name = table.names[column]
    return plain(name) in ANSWERS or (label is not None and name.lower() == str(label).lower())


def _read_linqs(path: Path) -> Features:
    table = content_table(path)
    ids = unique_ids(table.factor(0, "a node id"), table.where, "features")
    columns = range(1, table.width - 1)
    parts = [table.numbers(c, f"feature in column {table.name(c)}") for c in columns]
    x = check_finite(np.stack(parts, axis=1), table.where)
    return Features(ids, x, None, f"{x.shape[1]} columns of {path.name}")


def _read_npz(path: Path) -> Features:
    content = read_content(path)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            if "format" in found.files:
                x = sound(sp.load_npz(io.BytesIO(content)))
            elif "attr_data" in found.files:
                x = sound_parts(found, "attr")
            elif len(found.files) == 1:
                x = found[found.files[0]]
            else:
                raise ValueError(f"arrays {', '.join(found.files)}")
    except Exception as error:  # numpy and scipy raise whatever a broken file makes them meet
        raise GraphFileError(
            f"{path}: expected a sparse matrix saved by scipy or one array (got: {error})"
        ) from None
    x = check_finite(x, lambda row: f"{path}, row {row + 1}")
    return Features(None, x, None, f"{x.shape[1]} columns of {path.name}")
