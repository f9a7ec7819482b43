"""Which columns of a table hold the ends of an edge, its weight, the node, and its label."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.tables import Table

_ENDS = (
    ("source", "target"), ("src", "dst"), ("src", "dest"), ("source", "destination"),
    ("source", "dest"), ("from", "to"), ("u", "v"), ("head", "tail"), ("start", "end"),
    ("citing", "cited"), ("node1", "node2"), ("nodeid1", "nodeid2"), ("id1", "id2"),
    ("nodea", "nodeb"),
)  # fmt: skip
# Also sourceid, fromnode, fromnodeid, idsource, node1id, ...
PAIRS = tuple(
    dict.fromkeys(
        (before + s + after, before + t + after)
        for (s, t), before, after in product(
            _ENDS, ("", "id", "node"), ("", "id", "node", "nodeid")
        )
    )
)
WEIGHTS = ("weight", "weights", "edgeweight", "w")
NODES = (
    "node", "id", "nodeid", "nodes", "name", "nodename", "key", "paper", "paperid", "user",
    "userid", "item", "itemid", "index",
)  # fmt: skip
LABELS = (
    "label",
    "labels",
    "class",
    "classlabel",
    "nodelabel",
    "y",
    "target",
    "category",
    "subject",
)
# A column of these names in a table of features is not taken for a feature: it tells the answer.
ANSWERS = ("label", "labels", "class", "classlabel", "nodelabel")


_ID = re.compile(r"(?:[ _-]ids?|[a-z]Ids?|[a-z]ID)$")
_ROW_NUMBER = re.compile(r"Unnamed: [0-9]+|__index_level_0__")


def plain(name: str) -> str:
    """A column name in lower case with letters and digits alone."""
    return re.sub(r"[^0-9a-z]", "", name.lower())


def edge_header(first: list[str], second: list[str], named: Iterable[str | None]) -> bool:
    """Whether the first line of an edge file is a header."""
    cells = [plain(cell) for cell in first]
    pair = any(s in cells and t in cells for s, t in PAIRS)
    # Ids may be words and numbers mixed; below a header both ends are numbers, or a weight is.
    below = second if all(map(_is_number, second[:2])) else second[2:]
    ids = all(map(_names_ids, first[:2])) and not any(map(_names_ids, second[:2]))
    return pair or (ids and len(first) > 1) or _looks_like_header(first, below, named)


def _names_ids(cell: str) -> bool:
    """Whether a cell is called like a column of ids: user_id, ItemId, paper."""
    return plain(cell) in NODES or bool(_ID.search(cell))


def node_header(first: list[str], second: list[str], named: Iterable[str | None]) -> bool:
    """Whether the first line of a file of features or labels is a header."""
    cells = [plain(cell) for cell in first]
    # A first cell that is called like a label may be a node's id.
    known = cells[0] in NODES or any(
        cell in LABELS and (place or any(c in NODES for c in cells))
        for place, cell in enumerate(cells)
    )
    counted = first[1:] in (
        [str(i) for i in range(len(first) - 1)],
        [str(i) for i in range(1, len(first))],
    )
    return known or (counted and len(first) > 3) or _looks_like_header(first, second, named)


def edge_columns(
    table: Table, source: str | None, target: str | None, weight: str | None
) -> tuple[int, int, int | None]:
    """Positions of source, target and weight (``None`` if there is none).

    Args:
        table: The edges.
        source, target, weight: Names the user gave, or numbers counted from 1.

    Raises:
        GraphFileError: A named column is not there, or the columns cannot be told from the names.
    """
    if table.width < 2:
        raise GraphFileError(f"{table.where(0)}: expected two columns with node ids (got one)")
    chosen = [
        None if name is None else named_column(table, name, option)
        for name, option in ((source, "source_column"), (target, "target_column"))
    ]
    if None in chosen:
        found = _find_ends(table, weight)
        chosen = [b if a is None else a for a, b in zip(chosen, found, strict=True)]
    first, second = chosen
    if first is None or second is None or first == second:
        raise GraphFileError(
            f"{table.path}: expected two different columns for the ends of an edge "
            f"(got the same for both); name them with {_option('source_column')} and "
            f"{_option('target_column')}"
        )
    if weight is not None:
        return first, second, named_column(table, weight, "weight_column")
    if table.names:
        found_weight = _only(table, WEIGHTS, "weight", "weight_column")
        return first, second, found_weight if found_weight not in (first, second) else None
    third = [column for column in range(table.width) if column not in (first, second)]
    return first, second, third[0] if len(third) == 1 else None


def node_column(table: Table, name: str | None, label: str | None = None) -> int:
    """Position of the column with node ids: as named, by a usual name, else the first one."""
    if name is not None:
        return named_column(table, name, "node_column")
    if not table.names:
        return 0
    cells = [plain(cell) for cell in table.names]
    reserved = plain(label) if label is not None else None
    # Beside row numbers of pandas a name may be a feature; without them it is an id.
    for usual in NODES[:3] if is_row_number(table, 0) else NODES[:5]:
        if cells.count(usual) == 1 and usual != reserved:
            return cells.index(usual)
    return 0


def is_row_number(table: Table, column: int) -> bool:
    """Whether a column has no name, or the one that pandas gives it: row numbers, or ids."""
    if not table.names or column:
        return False
    return not table.names[0] or bool(_ROW_NUMBER.fullmatch(table.names[0]))


def label_column(table: Table, name: str | None, node: int) -> int:
    """Position of the column with labels: as named, by a usual name, or the other one of two.

    Raises:
        GraphFileError: There is no such column, or several may be meant.
    """
    if name is not None:
        return named_column(table, name, "label_column")
    if table.width < 2:
        raise GraphFileError(f"{table.where(0)}: expected two columns, node id and label (got one)")
    others = [c for c in range(table.width) if c != node and not is_row_number(table, c)]
    if len(others) == 1:
        return others[0]
    found = _only(table, LABELS, "label", "label_column", but=node)
    if found is None:
        raise GraphFileError(
            f"{table.path}: expected a column named label or class (got {_columns(table)}); "
            f"name it with {_option('label_column')}"
        )
    return found


def named_column(table: Table, name: str, option: str) -> int:
    """Position of a column by its name, or by its number counted from 1.

    Raises:
        GraphFileError: There is no such column, or there are two of this name.
    """
    wanted = str(name)
    places = [i for i, known in enumerate(table.names) if known == wanted]
    places = places or [i for i, k in enumerate(table.names) if k.lower() == wanted.lower()]
    if len(places) > 1:
        raise GraphFileError(f"{table.path}: expected one column {wanted!r} (got {len(places)})")
    if places:
        return places[0]
    if wanted.isdigit() and 1 <= int(wanted) <= table.width:
        return int(wanted) - 1
    raise GraphFileError(
        f"{table.path}: expected a column {wanted!r} for {_option(option)} (got {_columns(table)})"
    )


def _looks_like_header(first: list[str], second: list[str], named: Iterable[str | None]) -> bool:
    """By a name the user gave, the empty corner that pandas writes, or words above a number."""
    lower = [cell.lower() for cell in first]
    if any(name is not None and str(name).lower() in lower for name in named):
        return True
    if not first[0] and len(first) > 1:
        return True
    return not any(map(_is_number, first)) and any(map(_is_number, second))


def _find_ends(table: Table, weight: str | None) -> tuple[int, int]:
    cells = [plain(name) for name in table.names]
    pairs = [(s, t) for s, t in PAIRS if s in cells and t in cells]
    if len(pairs) > 1:
        words = " or ".join(
            f"{table.names[cells.index(s)]!r}, {table.names[cells.index(t)]!r}" for s, t in pairs
        )
        raise GraphFileError(
            f"{table.path}: expected one pair of columns for the ends of an edge (got {words}); "
            f"name them with {_option('source_column')} and {_option('target_column')}"
        )
    if pairs:
        ends = [i for name in pairs[0] for i, cell in enumerate(cells) if cell == name]
        if len(ends) != 2:
            raise GraphFileError(
                f"{table.path}: expected one column of each name (got {_columns(table)})"
            )
        return ends[0], ends[1]
    others = {i for i, cell in enumerate(cells) if cell in WEIGHTS or is_row_number(table, i)}
    if weight is not None:
        others.add(named_column(table, weight, "weight_column"))
    if table.width - len(others) == 2:
        first, second = (i for i in range(table.width) if i not in others)
        return first, second
    if not table.names and table.width == 3:  # the third has to be a weight
        return 0, 1
    raise GraphFileError(
        f"{table.path}: expected columns named source and target (got {_columns(table)}); name "
        f"them with {_option('source_column')} and {_option('target_column')}"
    )


def _only(
    table: Table, usual: Iterable[str], what: str, option: str, but: int | None = None
) -> int | None:
    """The only column with a usual name, or ``None``."""
    places = [i for i, n in enumerate(table.names) if plain(n) in usual and i != but]
    if len(places) > 1:
        names = ", ".join(repr(table.names[i]) for i in places)
        raise GraphFileError(
            f"{table.path}: expected one column for the {what} (got {names}); name it with "
            f"{_option(option)}"
        )
    return places[0] if places else None


def _columns(table: Table) -> str:
    if not table.names:
        return f"{table.width} columns without a header"
    names = ", ".join(table.name(column) for column in range(min(6, table.width)))
    return f"columns {names}" + (", ..." if len(table.names) > 6 else "")


def _option(name: str) -> str:
    return f"{name} (--{name.replace('_', '-')})"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
