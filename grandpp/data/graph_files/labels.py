"""Labels of some nodes, and the names of the classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.columns import label_column, node_column
from grandpp.data.graph_files.ids import Factor, IntArray, factor_of
from grandpp.data.graph_files.json_files import load_json
from grandpp.data.graph_files.networks import node_table
from grandpp.data.graph_files.raw import NETWORKS, TABLES, kind_of, unknown_kind
from grandpp.data.graph_files.rows import (
    NodeColumns,
    content_table,
    read_array,
    read_node_table,
)
from grandpp.data.graph_files.tables import MISSING_WORDS, Table

UNKNOWN = MISSING_WORDS | {"-1"}
"""What stands for no label, besides an empty cell."""
_WHOLE = re.compile(r"-?[0-9]+\.0+")


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels as they are in the file.

    Args:
        ids: Node ids, each once; ``None`` where labels follow the order of the nodes.
        y: Class of each, -1 where it is unknown, int64 ``[rows]``.
        names: Names of the classes.
        repeated: How many rows say again what a row before them said.
        maybe_header: Whether the first row may name the columns: there is no other header, and
            no other row has its node or its class.
    """

    ids: NDArray[Any] | None
    y: IntArray
    names: list[str]
    repeated: int = 0
    maybe_header: bool = False

    def without_first(self) -> Labels:
        """Without the first row, and its class, which no other row has."""
        y, gone = self.y[1:], self.y[0]
        names = [name for k, name in enumerate(self.names) if k != gone]
        ids = None if self.ids is None else self.ids[1:]
        return Labels(ids, y - (y > gone), names, self.repeated)


def read_labels(path: Path, columns: NodeColumns, class_names: Sequence[str] | None) -> Labels:
    """Read a file of labels; its format is told by its name.

    An empty cell, -1, ``?`` and ``NA``, ``N/A``, ``NaN``, ``null``, ``None`` and their like are no
    label, but where ``class_names`` has one of them.

    Args:
        path: The file.
        columns: Columns of the ids and of the labels.
        class_names: The classes in their order; ``None`` for those of the file, numbers in rising
            order or words in alphabetical order.

    Raises:
        GraphFileError: The file or a line of it is not what it has to be.
    """
    kind = kind_of(path)
    if kind in TABLES:
        table = read_node_table(path, columns)
        node = node_column(table, columns.node, columns.label)
        return _labels_of_table(table, node, label_column(table, columns.label, node), class_names)
    if kind in NETWORKS:
        table = node_table(path)
        return _labels_of_table(table, 0, label_column(table, columns.label, 0), class_names)
    if kind == ".content":
        table = content_table(path)
        return _labels_of_table(table, 0, table.width - 1, class_names)
    if kind == ".json":
        return _read_json_labels(path, class_names)
    if kind == ".npy":
        found = read_array(path)
        if found.ndim != 1 or found.dtype.kind not in "iu":
            raise GraphFileError(
                f"{path}: expected one integer per node (got {found.dtype}, shape "
                f"{list(found.shape)})"
            )
        return labels_of(None, factor_of(found), lambda r: f"{path}, row {r + 1}", class_names)
    raise unknown_kind(
        path, "labels as CSV, TSV, Parquet, JSON, NPY, LINQS .content, GraphML or GML"
    )


def labels_of(
    ids: Factor | None,
    labels: Factor,
    where: Callable[[int], str],
    class_names: Sequence[str] | None,
) -> Labels:
    """Number the classes, and give each node one label.

    Raises:
        GraphFileError: A node has two different labels (names both lines), none is known, or one
            is not among ``class_names``.
    """
    names = [str(value) for value in labels.values]
    unknown = UNKNOWN - set(class_names or ())
    known = [name for name in names if name not in unknown]
    if known and all(_WHOLE.fullmatch(name) for name in known):
        # Integers beside missing values, as pandas writes them.
        names = [name if name in unknown else name.split(".")[0] for name in names]
        known = list(dict.fromkeys(name for name in names if name not in unknown))
    if not known:
        raise GraphFileError(
            f"{where(0).rsplit(':', 1)[0]}: expected a label of some node (got none)"
        )
    classes = list(class_names) if class_names is not None else _in_order(known)
    place = dict.fromkeys(unknown, -1) | {name: i for i, name in enumerate(classes)}
    strange = [i for i, name in enumerate(names) if name not in place]
    if strange:
        row = int(np.isin(labels.codes, strange).argmax())
        raise GraphFileError(
            f"{where(row)}: expected one of the classes {', '.join(classes)} "
            f"(got '{labels.text(row)}')"
        )
    y = np.array([*(place[name] for name in names), -1], dtype=np.int64)[labels.codes]
    if ids is None:
        return Labels(None, y, classes)
    label = np.full(ids.values.size, -1, dtype=np.int64)
    told = np.flatnonzero(y >= 0)
    label[ids.codes[told]] = y[told]
    other = told[label[ids.codes[told]] != y[told]]
    if other.size:
        _refuse_two_labels(ids, y, told, labels, where)
    repeated = int(pd.Series(ids.codes).duplicated().sum())
    return Labels(ids.values, label, classes, repeated)


def _labels_of_table(
    table: Table, node: int, label: int, class_names: Sequence[str] | None
) -> Labels:
    if node == label:
        raise GraphFileError(
            f"{table.path}: expected different columns for node and label (got "
            f"{table.name(node)} for both)"
        )
    ids, labels = table.factor(node, "a node id"), table.factor(label)
    found = labels_of(ids, labels, table.where, class_names)
    if table.names or class_names is not None or ids.values.dtype.kind != "O":
        return found
    once = (ids.codes == ids.codes[0]).sum() == (found.y == found.y[0]).sum() == 1
    return replace(found, maybe_header=bool(once) and found.y[0] >= 0 and len(found.names) > 2)


def _refuse_two_labels(
    ids: Factor, y: IntArray, told: IntArray, labels: Factor, where: Callable[[int], str]
) -> None:
    first: dict[int, int] = {}
    for row in told.tolist():
        node = int(ids.codes[row])
        before = first.setdefault(node, row)
        if y[before] != y[row]:
            raise GraphFileError(
                f"{where(row)}: expected one label of node '{ids.text(row)}' (got "
                f"'{labels.text(row)}', but '{labels.text(before)}' at "
                f"{where(before).rsplit('/', 1)[-1]})"
            )


def _read_json_labels(path: Path, class_names: Sequence[str] | None) -> Labels:
    found = load_json(path)
    keys, values = list(found), list(found.values())
    wrong = next((i for i, v in enumerate(values) if isinstance(v, list | dict)), None)
    if wrong is not None:
        raise GraphFileError(f"{path}: expected one label of node '{keys[wrong]}' (got several)")
    ids = factor_of(np.array(keys, dtype=object))
    labels = factor_of(np.array(["" if v is None else str(v) for v in values], dtype=object))
    return labels_of(ids, labels, lambda row: f"{path}, node '{keys[row]}'", class_names)


def _in_order(names: Sequence[str]) -> list[str]:
    """Numbers in rising order, or words in alphabetical order."""
    try:
        return sorted(names, key=float)
    except ValueError:
        return sorted(names)
