"""Node features from tables, arrays and sparse matrices."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.columns import ANSWERS, is_row_number, node_column, plain
from grandpp.data.graph_files.ids import counted, some
from grandpp.data.graph_files.json_files import json_features
from grandpp.data.graph_files.networks import node_table
from grandpp.data.graph_files.raw import NETWORKS, TABLES, kind_of, read_content, unknown_kind
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
_MANY_ROWS = 20
_ISO_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9:.]+(?:Z|[+-][0-9:]+)?)?"
_OTHER_DATE = r"[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}(?:[ T][0-9:.]+)?"
_COMMAS = r"[+-]?[0-9]+(?:,[0-9]+)+(?:\.[0-9]+)?"


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
        node = 0 if kind in NETWORKS else node_column(table, columns.node, columns.label)
        return _features_of_table(table, node, columns.label, max_categories)
    if kind == ".content":
        return _read_linqs(path)
    if kind == ".json":
        return json_features(path)
    if kind == ".npy":
        x = check_finite(read_array(path), lambda row: f"{path}, row {row + 1}")
        return Features(None, x, None, f"{x.shape[1]} columns of {path.name}")
    if kind == ".npz":
        return _read_npz(path)
    raise unknown_kind(
        path,
        "features as CSV, TSV, Parquet, NPY, sparse NPZ, JSON, LINQS .content, GraphML or GML",
    )


def _features_of_table(table: Table, node: int, label: str | None, max_categories: int) -> Features:
    ids = unique_ids(table.factor(node, "a node id"), table.where, "features")
    answers = [c for c in range(table.width) if c != node and _is_answer(table, c, label)]
    used = [
        c for c in range(table.width)
        if c != node and c not in answers and not is_row_number(table, c)
    ]  # fmt: skip
    if not used:
        raise GraphFileError(
            f"{table.where(0)}: expected columns of features beside the node id (got none)"
        )
    notes = []
    empty = [c for c in used if table.frame[c].isna().all()]
    if 0 < len(empty) < len(used):
        used = [c for c in used if c not in empty]
        left = some([table.name(c) for c in empty])
        notes.append(f"columns of {table.path.name} without any value, left out: {left}")
    parts: list[Matrix] = []
    names: list[str] = []
    num_words = num_dates = 0
    numeric = [c for c in used if table.frame[c].dtype.kind in "iufb"]
    dense = table.frame[numeric].to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(dense).all():
        for column in numeric:
            table.numbers(column, f"feature in column {table.name(column)}", fill=True)
    if len(numeric) == len(used):
        parts, names = [dense], [_feature_name(table, c) for c in used]
    else:
        place = {c: i for i, c in enumerate(numeric)}
        for column in used:
            if column in place:
                parts.append(dense[:, place[column], None])
                names.append(_feature_name(table, column))
                continue
            days = _days(table, column)
            if days is not None:
                num_dates += 1
                parts.append(days[:, None])
                names.append(_feature_name(table, column))
                continue
            part, own = _words_or_numbers(table, column, max_categories)
            num_words += len(own) > 0
            if len(own) == part.shape[0] > _MANY_ROWS:
                notes.append(
                    f"column {table.name(column)} of {table.path.name} has another word in each "
                    "row, which tells nothing of other nodes: better leave it out"
                )
            parts.append(part)
            names += own or [_feature_name(table, column)]
    x = check_finite(np.concatenate(parts, axis=1), table.where)
    how = f"{counted(len(used), 'column', 'columns')} of {table.path.name}"
    kinds = [f"{num_dates} with dates, in days"] if num_dates else []
    if num_words:
        kinds.append(f"{num_words} with words, one-hot: {x.shape[1]} features")
    how += f" ({', '.join(kinds)})" if kinds else ""
    return Features(ids, x, names, how, tuple(notes), tuple(table.name(c) for c in answers))


def _days(table: Table, column: int) -> NDArray[np.float64] | None:
    """A column of dates as days since 1970; ``None`` for another column.

    Dates are written as in 2024-03-14, perhaps with a time.

    Raises:
        GraphFileError: Most cells are dates and one is not, or they are written otherwise.
    """
    cells = table.frame[column]
    filled = cells.notna()
    words = cells[filled].astype(str).str.strip()
    if not len(words) or not words.iloc[0][:1].isdigit():
        return None
    date = words.str.fullmatch(_ISO_DATE)
    other = words.str.fullmatch(_OTHER_DATE) & ~date
    if 2 * int((date | other).sum()) < len(words):
        return None
    when = pd.to_datetime(words.where(date), format="ISO8601", errors="coerce", utc=True)
    days = (when - pd.Timestamp("1970-01-01", tz="UTC")) / pd.Timedelta(days=1)
    found: NDArray[np.float64] = days.reindex(cells.index).to_numpy(np.float64)
    wrong = np.isnan(found)
    if wrong.any():
        row = int(wrong.argmax())
        got = f"'{cells.iloc[row]}'" if filled.iloc[row] else "an empty cell"
        hint = table.fill_hint(column, row)
        raise GraphFileError(
            f"{table.where(row)}: expected a date as 2024-03-14 in column {table.name(column)} "
            f"(got {got}){hint}"
        )
    return found


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
    numbers = ~np.isnan(values) | cells.astype(str).str.strip().str.fullmatch(_COMMAS).to_numpy()
    if not filled or 2 * int(numbers.sum()) >= filled:
        values = table.numbers(column, f"feature in column {name}", fill=True)
        return values[:, None].astype(np.float32), []
    words = table.factor(column)
    if len(words.values) > max_categories:
        raise GraphFileError(
            f"{table.path}: expected numbers or at most {max_categories} different words in column "
            f"{name} (got {len(words.values)} words, such as '{words.values[0]}'); leave the "
            "column out, or write numbers"
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
    parts = [table.numbers(c, f"feature in column {table.name(c)}", fill=True) for c in columns]
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
