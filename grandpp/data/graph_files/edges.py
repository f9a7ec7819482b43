"""Edges from tables, LINQS and network files and matrices, and what becomes of repeated ones."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse as sp
from numpy.typing import NDArray

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.columns import PAIRS, edge_columns, edge_header, plain
from grandpp.data.graph_files.ids import IntArray, counted, factor_of, some, union
from grandpp.data.graph_files.networks import read_network
from grandpp.data.graph_files.raw import NETWORKS, TABLES, kind_of, read_content, unknown_kind
from grandpp.data.graph_files.rows import sound
from grandpp.data.graph_files.tables import Table, read_table

MATLAB_NAMES = ("A", "adj", "adjacency", "Adj", "network", "W")


@dataclass(frozen=True, eq=False)
class EdgeList:
    """Edges as they are in the file.

    Args:
        ids: Distinct node ids, int64 or objects of type ``str``, ``[N]``.
        ends: Source and target as positions in ``ids``, int64 ``[2, E]``.
        weight: Finite and non-negative weights ``[E]``, or ``None``.
        ordered: Whether the file has its nodes in an order of their own, which rows of features
            without ids follow.
        unused: Names of columns that were not read.
        attributes: Names of attributes of the nodes, which are read as features or labels only.
        notes: What a user may want to know of the file, in sentences.
    """

    ids: NDArray[Any]
    ends: IntArray
    weight: NDArray[np.float64] | None
    ordered: bool = False
    unused: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EdgeColumns:
    """Names of columns, or numbers counted from 1, that the user gave for the edges."""

    source: str | None = None
    target: str | None = None
    weight: str | None = None
    header: bool | None = None


@dataclass(frozen=True, eq=False)
class Merged:
    """Each edge once.

    Args:
        edge_index: Sorted by source and then target, int64 ``[2, E]``.
        weight: Positive in float32 ``[E]``, or ``None``.
        num_edges: Number of undirected edges, or of directed ones.
        repeated: How many edges of the file were named before, in the same direction.
        reversed: How many were named before, in the other direction.
        uneven: How many of the latter had another weight.
        self_loops: How many edges of the file join a node to itself.
        weightless: How many edges were left out as their weight is 0 in float32.
    """

    edge_index: IntArray
    weight: NDArray[np.float64] | None
    num_edges: int
    repeated: int
    reversed: int
    uneven: int
    self_loops: int
    weightless: int


def read_edges(path: Path, columns: EdgeColumns) -> EdgeList:
    """Read a file of edges; its format is told by its name.

    Raises:
        GraphFileError: The file or a line of it is not what it has to be.
    """
    kind = kind_of(path)
    if kind in TABLES:
        return _read_edge_table(path, columns)
    if kind == ".cites":  # "cited citing": the paper on the right cites the one on the left
        return _read_edge_table(path, EdgeColumns("2", "1", None, header=False))
    if kind in NETWORKS:
        return _read_network_edges(path, columns.weight)
    if kind == ".mat":
        return matrix_edges(_read_matlab(path), path)
    if kind == ".npz":
        return matrix_edges(_read_npz_matrix(path), path)
    raise unknown_kind(
        path,
        "edges as CSV, TSV, Parquet, NPZ, GraphML, GML, LINQS .cites, MATLAB .mat or PyG .pt",
    )


def matrix_edges(matrix: sp.spmatrix, path: Path) -> EdgeList:
    """The entries of a square sparse matrix as edges from row to column."""
    if matrix.shape[0] != matrix.shape[1]:
        raise GraphFileError(
            f"{path}: expected a square adjacency matrix (got shape {list(matrix.shape)})"
        )
    found = matrix.tocoo()
    weight = np.asarray(found.data)
    if weight.dtype.kind not in "iufb":
        raise GraphFileError(f"{path}: expected real numbers as weights (got {weight.dtype})")
    weight = weight.astype(np.float64)
    ends = np.stack([found.row, found.col]).astype(np.int64)
    check_weight(
        weight,
        lambda i: f"{path}, row {ends[0, i] + 1}, column {ends[1, i] + 1}",
    )
    ends, weight = ends[:, weight != 0], weight[weight != 0]
    kept = None if bool((weight == 1).all()) else weight
    return EdgeList(np.arange(matrix.shape[0]), ends, kept, ordered=True)


def check_weight(weight: NDArray[np.float64], where: Callable[[int], str]) -> None:
    """Refuse weights that are negative, infinite, NaN or beyond the range of float32.

    Raises:
        GraphFileError: There is one; says where the first is.
    """
    wrong = ~((weight >= 0) & np.isfinite(weight))
    if wrong.any():
        first = int(wrong.argmax())
        raise GraphFileError(
            f"{where(first)}: expected a finite weight of at least 0 (got {weight[first]:g})"
        )
    wide = weight > np.finfo(np.float32).max
    if wide.any():
        first = int(wide.argmax())
        raise GraphFileError(
            f"{where(first)}: expected a weight in the range of float32, at most 3.4e+38 "
            f"(got {weight[first]:g})"
        )


def merge_edges(
    ends: IntArray,
    weight: NDArray[np.float64] | None,
    num_nodes: int,
    *,
    directed: bool,
    self_loops: bool,
) -> Merged:
    """Keep each edge once, and both directions of an undirected one.

    Weights of edges repeated in the same direction add up, as they would in the operators of
    :mod:`grandpp.graph`. The two directions of an undirected edge are one edge; where their
    weights differ it has the mean of both. Edges without weights are merged without one. Edges
    whose weight is 0 in float32, the type of the graph's weights, join nothing and are left out.

    Args:
        ends: Source and target, int64 ``[2, E]``.
        weight: Non-negative ``[E]``, or ``None``.
        num_nodes: Number of nodes N.
        directed: Whether the direction is kept.
        self_loops: Whether edges from a node to itself are kept.

    Cost: two sorts of E integers.
    """
    loop = ends[0] == ends[1]
    num_loops = int(loop.sum())
    if num_loops and not self_loops:
        ends, weight = ends[:, ~loop], None if weight is None else weight[~loop]
    key, weight, first = _runs(ends[0] * num_nodes + ends[1], weight)
    repeated = key.size - first.size
    key, weight = key[first], _sums(weight, first)
    if directed:
        key, weight, weightless = _weighty(key, weight)
        pairs = np.stack(np.divmod(key, num_nodes))
        return Merged(pairs, weight, key.size, repeated, 0, 0, num_loops, weightless)
    source, target = np.divmod(key, num_nodes)
    low, high = np.minimum(source, target), np.maximum(source, target)
    key, weight, first = _runs(low * num_nodes + high, weight)
    reverse, uneven = key.size - first.size, 0
    if weight is not None and first.size:
        one, other = weight[first], weight[np.append(first[1:], key.size) - 1]
        uneven = int((one != other).sum())
        weight = one / 2 + other / 2  # exact where both are equal
    key, weight, weightless = _weighty(key[first], weight)
    low, high = np.divmod(key, num_nodes)
    apart = low != high
    order = np.argsort(np.concatenate([key, (high * num_nodes + low)[apart]]), kind="stable")
    pairs = np.stack([np.concatenate([low, high[apart]]), np.concatenate([high, low[apart]])])
    if weight is not None:
        weight = np.concatenate([weight, weight[apart]])[order]
    pairs = pairs[:, order]
    return Merged(pairs, weight, key.size, repeated, reverse, uneven, num_loops, weightless)


def _weighty(
    key: IntArray, weight: NDArray[np.float64] | None
) -> tuple[IntArray, NDArray[np.float64] | None, int]:
    """Edges whose weight is not 0 in float32, their weights, and the number of the others."""
    if weight is None:
        return key, None, 0
    with np.errstate(over="ignore"):
        kept = weight.astype(np.float32) > 0
    return key[kept], weight[kept], int((~kept).sum())


def _runs(
    key: IntArray, weight: NDArray[np.float64] | None
) -> tuple[IntArray, NDArray[np.float64] | None, IntArray]:
    """Keys in rising order, their weights, and where each run of equal keys begins."""
    if weight is None:
        key = np.sort(key)
    else:
        order = np.argsort(key, kind="stable")
        key, weight = key[order], weight[order]
    return key, weight, np.flatnonzero(np.diff(key, prepend=-1))


def _sums(weight: NDArray[np.float64] | None, first: IntArray) -> NDArray[np.float64] | None:
    if weight is None or not first.size:
        return weight
    sums: NDArray[np.float64] = np.add.reduceat(weight, first)
    return sums


def _read_edge_table(path: Path, columns: EdgeColumns) -> EdgeList:
    named = (columns.source, columns.target, columns.weight)

    def is_header(first: list[str], second: list[str]) -> bool:
        if columns.header is not None:
            return columns.header
        return edge_header(first, second, named)

    table = read_table(path, is_header)
    _refuse_dictionaries(table)
    source, target, weight = edge_columns(table, *named)
    unused = tuple(table.name(c) for c in range(table.width) if c not in (source, target, weight))
    found = _edges_of_columns(table, source, target, weight)
    notes = [_first_line(table, found)] if columns.header is None and not table.names else []
    notes += [_two_kinds(table, source, target)] if table.names else []
    return replace(found, unused=unused, notes=tuple(note for note in notes if note))


def _refuse_dictionaries(table: Table) -> None:
    """Refuse lines such as ``a b {'weight': 1.0}``, which networkx writes by default."""
    cell = str(table.frame[2].iloc[0]) if table.width > 2 and not table.names else ""
    if cell.startswith("{"):
        raise GraphFileError(
            f"{table.where(0)}: expected numbers beside the node ids (got '{cell}'): in networkx, "
            "write edges by write_edgelist(..., data=False) or write_weighted_edgelist(...)"
        )


def _first_line(table: Table, found: EdgeList) -> str:
    """A note where only the first line names two nodes of its own: it may be a header."""
    if found.ids.dtype.kind != "O" or found.ends.shape[1] < 3:
        return ""
    degree = np.bincount(found.ends.ravel(), minlength=found.ids.size)
    alone = (degree[found.ends] == 1).all(axis=0)
    if not alone[0] or alone.sum() > 1:
        return ""
    names = f"{found.ids[found.ends[0, 0]]}, {found.ids[found.ends[1, 0]]}"
    return (
        f"the first line of {table.path.name} was read as an edge ({names}): if it names the "
        "columns, say header=True (--header)"
    )


def _two_kinds(table: Table, source: int, target: int) -> str:
    """A note where numbers count things that may be of two kinds, such as users and items."""
    if any(table.frame[column].dtype.kind not in "iu" for column in (source, target)):
        return ""
    called = [plain(table.names[column]) for column in (source, target)]
    kinds = {re.sub(r"[0-9]|[ab]$", "", name) for name in called}
    if tuple(called) in PAIRS or tuple(called[::-1]) in PAIRS or len(kinds) < 2:
        return ""
    common = np.intersect1d(table.frame[source], table.frame[target])
    if not common.size:
        return ""
    first, second = table.name(source), table.name(target)
    return (
        f"{first} and {second} have {counted(common.size, 'id', 'ids')} in common "
        f"({some(common)}), each taken for one node: where these are two, write other ids"
    )


def _edges_of_columns(table: Table, source: int, target: int, weight: int | None) -> EdgeList:
    factors = [table.factor(column, "a node id") for column in (source, target)]
    ids, numbers = union([factor.values for factor in factors], rising=False)
    ids, ends = _by_appearance(ids, [n[f.codes] for n, f in zip(numbers, factors, strict=True)])
    values = None
    if weight is not None:
        values = table.numbers(weight, "weight")
        check_weight(values, table.where)
    return EdgeList(ids, ends, values)


def _by_appearance(ids: NDArray[Any], ends: list[IntArray]) -> tuple[NDArray[Any], IntArray]:
    """Number nodes by the first line they occur in, source before target."""
    lines = ends[0].size
    first = np.full(ids.size, 2 * lines, dtype=np.int64)
    for place, end in enumerate(ends):
        at = np.full(ids.size, lines, dtype=np.int64)
        # Written backwards, the first line of a node is the one that stays.
        at[end[::-1]] = np.arange(lines - 1, -1, -1)
        first = np.minimum(first, 2 * at + place)
    order = np.argsort(first, kind="stable")
    number = np.empty_like(order)
    number[order] = np.arange(order.size)
    return ids[order], np.stack([number[end] for end in ends])


def _read_network_edges(path: Path, weight: str | None) -> EdgeList:
    graph = read_network(path)
    nodes = factor_of(np.array(list(graph.nodes), dtype=object))
    if not len(graph) or nodes.values.size != len(graph):
        raise GraphFileError(
            f"{path}: expected nodes with distinct ids (got {len(graph)} nodes and "
            f"{nodes.values.size} ids)"
        )
    place = dict(zip(graph.nodes, range(len(graph)), strict=True))
    edges = list(graph.edges(data=True))
    ends = np.array([(place[s], place[t]) for s, t, _ in edges], dtype=np.int64).reshape(-1, 2).T
    attributes = tuple(dict.fromkeys(key for _, data in graph.nodes(data=True) for key in data))
    name = weight or "weight"
    given = [data.get(name) for _, _, data in edges]
    if weight is None and all(value is None for value in given):
        return EdgeList(nodes.values, ends, None, ordered=True, attributes=attributes)
    values = np.empty(len(edges))
    for i, ((s, t, _), value) in enumerate(zip(edges, given, strict=True)):
        try:
            values[i] = float(value)
        except (TypeError, ValueError):
            got = "none" if value is None else f"'{value}'"
            raise GraphFileError(
                f"{path}, edge {s} - {t}: expected a number as {name} of every edge (got {got})"
            ) from None
    check_weight(values, lambda i: f"{path}, edge {edges[i][0]} - {edges[i][1]}")
    return EdgeList(nodes.values, ends, values, ordered=True, attributes=attributes)


def _read_matlab(path: Path) -> sp.spmatrix:
    content = read_content(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = scipy.io.loadmat(io.BytesIO(content))
    except NotImplementedError:
        raise GraphFileError(
            f"{path}: MATLAB 7.3 files are not read; save the matrix with save(..., '-v7')"
        ) from None
    except Exception as error:  # scipy raises whatever a broken file makes it stumble over
        raise GraphFileError(f"{path}: expected a MATLAB file (got: {error})") from None
    problem = found.get("Problem")  # the SuiteSparse collection
    if isinstance(problem, np.ndarray) and problem.dtype.names and "A" in problem.dtype.names:
        found["A"] = problem["A"].flat[0]
    matrices = {name: value for name, value in found.items() if sp.issparse(value)}
    for name in MATLAB_NAMES:
        if name in matrices:
            try:
                return sound(matrices[name])
            except ValueError as error:
                raise GraphFileError(f"{path}: expected a sparse matrix (got: {error})") from None
    raise GraphFileError(f"{path}: expected a sparse matrix 'A' (got {_names(found, '__')})")


def _read_npz_matrix(path: Path) -> sp.spmatrix:
    content, got = read_content(path), ""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            got = f"arrays {some(found.files, 6)}"
        return sound(sp.load_npz(io.BytesIO(content)))
    except Exception as error:  # as above
        got = f"{got}: {error}" if "format" in got else got or str(error)
        raise GraphFileError(
            f"{path}: expected a graph in the gnn-benchmark layout or the arrays of a PyG Data "
            f"(edge_index, x, y), or a sparse matrix of scipy (got: {got})"
        ) from None


def _names(found: dict[str, Any], hidden: str) -> str:
    names = [name for name in found if not name.startswith(hidden)]
    return ", ".join(names) if names else "no variable"
