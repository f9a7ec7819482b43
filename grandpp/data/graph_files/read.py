"""Read a graph of one's own from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from grandpp.data.errors import GraphFileError
from grandpp.data.features import with_layout
from grandpp.data.graph_files.assemble import assemble
from grandpp.data.graph_files.bundles import Bundle, read_pyg
from grandpp.data.graph_files.columns import ANSWERS, node_column, plain
from grandpp.data.graph_files.edges import EdgeColumns, read_edges
from grandpp.data.graph_files.features import MAX_CATEGORIES, read_features
from grandpp.data.graph_files.ids import some
from grandpp.data.graph_files.labels import Labels, read_labels
from grandpp.data.graph_files.notices import Parts
from grandpp.data.graph_files.npz_graphs import read_npz_bundle
from grandpp.data.graph_files.raw import TABLES, as_path, kind_of
from grandpp.data.graph_files.rows import (
    Features,
    NodeColumns,
    read_node_table,
    unique_ids,
)

_STEMS = ("edges", "features", "labels", "nodes")


def read_graph(
    edges: str | Path,
    features: str | Path | None = None,
    labels: str | Path | None = None,
    *,
    nodes: str | Path | None = None,
    directed: bool = False,
    self_loops: bool = False,
    source_column: str | None = None,
    target_column: str | None = None,
    weight_column: str | None = None,
    node_column: str | None = None,
    label_column: str | None = None,
    header: bool | None = None,
    max_categories: int = MAX_CATEGORIES,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    structural_dimensions: int | None = None,
    sparse: bool | None = None,
) -> Data:
    """Read a graph of your own from files.

    Nothing is cut: all nodes of all files are kept, isolated ones and small components too, and
    ``data.summary`` tells what was found. Formats are told by the names of the files:

    * edges: a table of two columns with node ids and perhaps one with weights (CSV, TSV, other
      delimited text, Parquet); NPZ in the gnn-benchmark layout, with arrays called like the
      attributes of a PyG ``Data`` (``edge_index``, ``x``, ``y``, ...), or a sparse matrix of scipy;
      GraphML; GML; LINQS ``.cites``; MATLAB ``.mat`` with a sparse ``A``; a PyG ``Data`` saved with
      ``torch.save`` (``.pt``); or a folder with ``edges.csv``, and perhaps ``features.csv``,
      ``labels.csv`` and ``nodes.csv``, in any of the formats. NPZ and ``.pt`` files may hold
      features and labels, too.
    * features: a table with a column of node ids, numbers, dates as 2024-03-14 (days since 1970),
      and words, which become one column per word (one-hot); NPY, sparse NPZ; JSON ``{node:
      [feature, ...]}`` or ``{node: {feature: value}}``; LINQS ``.content``; the node
      attributes of GraphML or GML. A column called label or class is no feature.
    * labels: a table with a column of node ids and one of labels, for some of the nodes (an empty
      cell or -1 is no label); JSON ``{node: label}``; NPY; ``.content``; GraphML or GML.

    Text is UTF-8, perhaps compressed (``.gz``); lines that begin with ``#`` are comments; the
    delimiter and whether there is a header are found from the first lines. Columns are found by
    their usual names (source/target, from/to, src/dst, node1/node2, u/v, weight; node/id; label/
    class), or named here. Where cells are not separated by commas, 1,5 is a number; row numbers of
    pandas beside a column of ids and columns without any value are left out. Pickle files are never
    read.

    Edges repeated in the same direction are one edge whose weights add up, as in
    :mod:`grandpp.graph`; an undirected edge given in both directions is one edge, whose weight is
    the mean of the two; repeated edges without weights have none. Edges of weight 0 join nothing
    and are left out. Nodes without a row of features
    have zeros. Node ids are compared as text, so 7 and "7" are the same node, and 007 is another.

    Args:
        edges: File of edges, or a file or folder with the whole graph.
        features: File of features. (default: ``None``, those of ``edges`` if it has any, else
            log degree and a spectral embedding of the edges,
            :func:`grandpp.data.graph_files.structural_features`)
        labels: File of labels. (default: ``None``, those of ``edges`` or a ``.content`` file if it
            has any, else none)
        nodes: File with one id per line, or a table with a column of ids: the order of the nodes,
            which rows of features without ids (NPY, NPZ) follow. (default: ``None``: the order of
            the files' own; for tables rows of features follow ids 0, 1, ..., and other nodes come
            in the order of features; without these, in rising or alphabetical order)
        directed: Whether edges keep their direction, from source to target; else both directions
            are in ``edge_index``. (default: ``False``)
        self_loops: Whether edges from a node to itself are kept. (default: ``False``)
        source_column, target_column, weight_column: Columns of ``edges``, by name or by number
            counted from 1; ``weight_column`` also names the edge attribute of GraphML and GML.
        node_column, label_column: Columns of ``features``, ``labels`` and ``nodes``.
        header: Whether tables have a header. (default: ``None``, found from the first two lines)
        max_categories: Most different words in a column that is one-hot; beyond it an error.
            (default: ``100``)
        feature_names: Columns of another graph, as in its ``feature_names``, to be had here in the
            same order. (default: ``None``)
        class_names: Classes of another graph in their order. (default: ``None``: numbers in rising
            order or words in alphabetical order)
        structural_dimensions: Size of the spectral embedding. (default: ``None``, 32, or 16 beyond
            100,000 nodes)
        sparse: Whether ``x`` is a ``torch.sparse_csr`` matrix. (default: ``None``, where dense
            features would take more than 256 MiB and at most 5 % of them are not zero)

    Returns:
        Data with ``x`` ``[N, F]`` (float32, as in the file: not normalized), ``edge_index``
        ``[2, E]`` (source above target, sorted), ``edge_weight`` ``[E]`` (float32, where there are
        weights), ``y`` ``[N]`` (long, -1 where no label is known), ``node_ids`` (list of integers,
        or of strings), ``class_names`` (list of strings), ``feature_names`` (list of strings, where
        the file has names), ``num_classes``, ``name`` and ``summary`` (:class:`GraphSummary`).
        Masks of a ``.pt`` or NPZ file are kept where its labels are.

    Raises:
        GraphFileError: A file is missing, malformed or ambiguous; the message names the file, and
            the line where there are lines. It is a ``ValueError`` and a ``DatasetError``.

    Cost: linear in the files but for sorting the edges: 1 million nodes with 16 features and 10
    million edges take about 20 s of one core and 3 GB; structural features of them 75 s more.
    """
    columns = EdgeColumns(source_column, target_column, weight_column, header)
    rows = NodeColumns(node_column, label_column, header)
    places = [None if f is None else as_path(f) for f in (edges, features, labels, nodes)]
    whole = places[0]
    if whole is not None and whole.is_dir():
        inside = files_of_folder(whole)
        places = [b if a is None else a for a, b in zip([None, *places[1:]], inside, strict=True)]
    parts = _read_parts(places, columns, rows, max_categories, class_names)
    data = assemble(
        parts,
        name=_stem(whole),
        directed=directed,
        self_loops=self_loops,
        feature_names=feature_names,
        structural_dimensions=structural_dimensions,
    )
    data.x = with_layout(data.x, sparse)
    return data


def _read_parts(
    places: Sequence[Path | None],
    columns: EdgeColumns,
    rows: NodeColumns,
    max_categories: int,
    class_names: Sequence[str] | None,
) -> Parts:
    edges, features, labels, nodes = places
    if edges is None:
        raise GraphFileError("expected a file of edges (got none)")
    kind = kind_of(edges)
    bundle = read_pyg(edges) if kind in (".pt", ".pth") else None
    bundle = read_npz_bundle(edges) if kind == ".npz" else bundle
    if bundle is None:
        bundle = Bundle(read_edges(edges, columns), None, None, {})
    x, y = bundle.features, bundle.labels
    if nodes is not None:  # rows of one file follow its own nodes, whatever the order named
        size = bundle.edges.ids.size
        x = replace(x, ids=bundle.edges.ids) if x is not None and x.x.shape[0] == size else x
        y = replace(y, ids=bundle.edges.ids) if y is not None and y.y.size == size else y
    if y is not None and class_names is not None:
        y = _renumber(y, class_names, edges)
    if features is not None:
        x = read_features(features, rows, max_categories)
        if labels is None and y is None and _holds_labels(features, rows):
            labels = features
    if labels is not None:
        y = read_labels(labels, rows, class_names)
    order = None
    if nodes is not None:
        table = read_node_table(nodes, rows)
        found = table.factor(node_column(table, rows.node, rows.label), "a node id")
        order = unique_ids(found, table.where, "ids")
    masks, notes = bundle.masks, [*bundle.notes, *bundle.edges.notes]
    if bundle.edges.attributes and edges not in (features, labels):
        notes.append(
            f"attributes of the nodes that were not read: {some(bundle.edges.attributes, 10)} "
            f"(name {edges.name} as features or labels, too)"
        )
    notes += [] if x is None else x.notes
    if x is not None and features is not None and labels != features:
        notes += [
            f"column {name} of {features.name} holds labels and is no feature" for name in x.answers
        ]
    if y is not None and y.maybe_header and labels is not None and rows.header is None:
        y = _without_header(y, bundle, x, order, labels, notes)
    if masks and labels is not None:
        notes.append(
            f"{', '.join(masks)} of {edges.name} {'is' if len(masks) == 1 else 'are'} not used, "
            f"as labels come from {labels.name}"
        )
        masks = {}
    return Parts(
        bundle.edges, x, y, order, masks, (edges, features or edges, labels or edges), tuple(notes)
    )


def _without_header(
    labels: Labels,
    bundle: Bundle,
    features: Features | None,
    order: NDArray[Any] | None,
    path: Path,
    notes: list[str],
) -> Labels:
    """Leave out a first row that names the columns: no other file has its node."""
    if labels.ids is None:
        return labels
    others = [bundle.edges.ids, order, None if features is None else features.ids]
    first = labels.ids[0]
    if any(ids is not None and bool((ids == first).any()) for ids in others):
        return labels
    notes.append(
        f"the first line of {path.name} ({first}, {labels.names[labels.y[0]]}) is taken for the "
        "names of columns, as no other line or file has them; header=False (--no-header) reads it "
        "as a label"
    )
    return labels.without_first()


def _holds_labels(path: Path, rows: NodeColumns) -> bool:
    """Whether a file of features has a column of labels, too."""
    if kind_of(path) == ".content":
        return True
    if kind_of(path) not in TABLES:
        return False
    if rows.label is not None:
        return True
    names = read_node_table(path, rows).names
    return any(plain(name) in ANSWERS for name in names)


def _renumber(labels: Labels, class_names: Sequence[str], path: Path) -> Labels:
    """Labels of a file that numbers its classes, by the names of others."""
    place = {name: i for i, name in enumerate(class_names)}
    used = np.unique(labels.y[labels.y >= 0])
    strange = [labels.names[i] for i in used if labels.names[i] not in place]
    if strange:
        raise GraphFileError(
            f"{path}: expected one of the classes {', '.join(class_names)} (got '{strange[0]}')"
        )
    number = np.array([*(place.get(name, -1) for name in labels.names), -1], dtype=np.int64)
    return replace(labels, y=number[labels.y], names=list(class_names))


def _stem(path: Path | None) -> str:
    """The name of a file without its suffixes, or of a folder; ``edges.csv`` is called by it."""
    if path is None:
        return "graph"
    whole = path.resolve()
    if whole.is_file() and whole.name.split(".")[0].lower() == "edges":
        whole = whole.parent
    name = whole.name if whole.is_dir() else whole.name.split(".")[0]
    return name or "graph"


def files_of_folder(folder: Path) -> list[Path | None]:
    """Files called edges, features, labels and nodes, whatever their format; ``None`` if missing.

    Raises:
        GraphFileError: There is no file of edges, or there are two of one name.
    """
    found: dict[str, list[Path]] = {stem: [] for stem in _STEMS}
    for path in sorted(folder.iterdir()):
        stem = path.name.split(".")[0].lower()
        if path.is_file() and stem in found:
            found[stem].append(path)
    for stem, paths in found.items():
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            raise GraphFileError(f"{folder}: expected one file of {stem} (got {names})")
    if not found["edges"]:
        raise GraphFileError(
            f"{folder}: expected a file edges.csv, or of another format (got none)"
        )
    return [paths[0] if paths else None for paths in found.values()]
