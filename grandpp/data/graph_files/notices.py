"""What a user may want to know of the files of a graph, in sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.edges import EdgeList, Merged
from grandpp.data.graph_files.ids import IntArray, counted, some
from grandpp.data.graph_files.labels import Labels
from grandpp.data.graph_files.rows import Features


@dataclass(frozen=True, eq=False)
class Parts:
    """What the files hold, before their nodes are one list.

    Args:
        edges, features, labels: As read; ``None`` where there are none.
        nodes: Ids in the order the user gave, or ``None``.
        masks: Boolean masks of the nodes of ``edges`` by name.
        places: File names of edges, features and labels, for messages.
        notes: What was noticed while reading.
    """

    edges: EdgeList
    features: Features | None
    labels: Labels | None
    nodes: NDArray[Any] | None
    masks: dict[str, Tensor]
    places: tuple[Path, Path | None, Path | None]
    notes: tuple[str, ...] = ()


def id_notices(
    parts: Parts,
    ids: NDArray[Any],
    in_order: IntArray | None,
    in_features: IntArray | None,
    in_labels: IntArray | None,
    in_edges: IntArray,
) -> list[str]:
    """Nodes that some of the files do not have.

    Raises:
        GraphFileError: The edges share no node with the features, or the labels with both.
    """
    notes = []
    with_edge = np.zeros(ids.size, dtype=bool)
    with_edge[in_edges] = True
    known = with_edge.copy()
    if in_order is not None:
        known[in_order] = True
    if in_features is not None:
        featured = np.zeros(ids.size, dtype=bool)
        featured[in_features] = True
        _check_shared(parts.places[1], featured, parts.places[0], with_edge, ids)
        bare, lone = np.flatnonzero(~featured & with_edge), np.flatnonzero(featured & ~with_edge)
        if bare.size:
            notes.append(
                counted(bare.size, "node has", "nodes have")
                + f" no features and get{'s' * (bare.size == 1)} zeros ({some(ids[bare])})"
            )
        if lone.size:
            notes.append(
                f"{counted(lone.size, 'id', 'ids')} of {_name(parts.places[1])} "
                f"{'occurs' if lone.size == 1 else 'occur'} in no edge ({some(ids[lone])})"
                f"{_respelled(ids[lone], ids[with_edge])}"
            )
        known |= featured
    if in_labels is not None:
        labelled = np.zeros(ids.size, dtype=bool)
        labelled[in_labels] = True
        _check_shared(parts.places[2], labelled, parts.places[0], known, ids)
        alone = np.flatnonzero(labelled & ~known)
        if alone.size:
            notes.append(
                f"{counted(alone.size, 'id', 'ids')} of {_name(parts.places[2])} "
                f"{'occurs' if alone.size == 1 else 'occur'} in no other file, "
                f"{'an isolated node' if alone.size == 1 else 'isolated nodes'} "
                f"({some(ids[alone])}){_respelled(ids[alone], ids[known])}"
            )
    return notes


def _respelled(strange: NDArray[Any], known: NDArray[Any]) -> str:
    """Two ids that differ in zeros before a number, case or blanks alone, in words; or nothing."""
    wanted = {_spelling(value): value for value in strange[:1000].tolist()}
    for value in known[:100_000].tolist():
        other = wanted.get(_spelling(value))
        if other is not None:
            return f"; ids are compared as text, {other} is not {value}"
    return ""


def _spelling(value: Any) -> str:
    text = re.sub(r"[\s_-]+", " ", str(value).casefold()).strip()
    text = re.sub(r"^([0-9]+)\.0+$", r"\1", text)
    return text.lstrip("0") if text.isdigit() else text


def _check_shared(
    path: Path | None,
    inside: NDArray[np.bool_],
    other: Path | None,
    there: NDArray[np.bool_],
    ids: NDArray[Any],
) -> None:
    if there.any() and inside.any() and not (inside & there).any():
        raise GraphFileError(
            f"{path}: expected node ids of {other}, such as {some(ids[there])} "
            f"(got none of these but {some(ids[inside])}{_respelled(ids[inside], ids[there])})"
        )


def graph_notices(
    merged: Merged, edges: EdgeList, labels: Labels | None, y: IntArray, classes: Sequence[str]
) -> list[str]:
    """What else a user may want to know of edges and labels."""
    notes = []
    if merged.uneven:
        notes.append(
            counted(merged.uneven, "edge", "edges")
            + " had another weight in the other direction: the mean is used"
        )
    if merged.weightless:
        notes.append(
            counted(merged.weightless, "edge", "edges")
            + " of weight 0 (in float32), which would join nothing, left out"
        )
    if edges.unused:
        hint = " (weights are named with weight_column, --weight-column)"
        hint = hint if merged.weight is None and edges.unused != ("edge_attr",) else ""
        notes.append(f"columns of the edges that were not used: {some(edges.unused, 10)}{hint}")
    if labels is not None and labels.repeated:
        notes.append(counted(labels.repeated, "label was", "labels were") + " given more than once")
    counts = np.bincount(y[y >= 0], minlength=len(classes))
    single = [name for name, count in zip(classes, counts, strict=True) if count == 1]
    if int((counts > 0).sum()) == 1:
        notes.append(f"only one class has labels ({classes[int(counts.argmax())]}): two are needed")
    elif single:
        notes.append(
            counted(len(single), "class has", "classes have")
            + f" a single labelled node ({some(single)})"
        )
    return notes


def _name(path: Path | None) -> str:
    return "the file" if path is None else path.name
