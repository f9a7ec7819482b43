"""Write the shards of a graph: one folder per part, a chunk of edges or one part at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from grandpp.distributed.arrays import described, file_digest, write_json
from grandpp.distributed.assign import assign
from grandpp.distributed.edges import Array, EdgeList, Summary, summarize, weak_components

FORMAT, VERSION = "grandpp shards", 1
MAIN, PART = "shards.json", "part.json"
_ROWS = 2**16  # of features that are copied at once
_SPARSE = 0.15  # share of entries that are not zero, see grandpp.models.sparse_if_sparse


@dataclass
class NodeData:
    """Features, classes and split masks of nodes; arrays may be memory-mapped.

    Args:
        y: Classes, int64 ``[N]``, -1 where none is known.
        x: Features ``[N, F]``; ``None`` with ``sparse``.
        sparse: Features as row offsets, columns and values. (default: ``None``)
        channels: Number of features F.
        masks: ``train_mask``, ``val_mask`` and ``test_mask``, bool ``[N]`` each.
        about: Further entries of ``shards.json``.
        targets: For training on clusters, a class of every node, int64 ``[N]``, and its share in
            the loss, float64 ``[N]``. (default: ``None``)
        target_proba: Probabilities of the clusters, float32 ``[N, C]``, where they have some.
            (default: ``None``)
    """

    y: Array
    channels: int
    x: Array | None = None
    sparse: tuple[Array, Array, Array] | None = None
    masks: Mapping[str, Array] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[Array, Array] | None = None
    target_proba: Array | None = None

    @property
    def num_nodes(self) -> int:
        """Number of nodes N."""
        return len(self.y)


def part_folder(folder: Path, part: int) -> Path:
    """Folder of a part."""
    return folder / f"part-{part:05d}"


def check_folder(folder: Path) -> None:
    """Check that shards can be written to a folder, before the work.

    Raises:
        ValueError: If it exists and holds something, or its parent does not exist.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"expected a folder that does not exist, or an empty one (got {folder})")
    if not folder.absolute().parent.is_dir():
        raise ValueError(f"expected an existing folder for {folder}")


def write_shards(
    folder: Path, edges: EdgeList, nodes: NodeData, parts: int, method: str
) -> dict[str, Any]:
    """Partition a graph and write its shards; the folder is complete or absent.

    Args:
        folder: Folder to write; it must not exist, or be empty.
        edges: Edges of the graph.
        nodes: Features, classes and masks of its nodes.
        parts: Number of parts P.
        method: See :func:`grandpp.distributed.assign.assign`.

    Returns:
        The content of ``shards.json``.

    Raises:
        ValueError: If the folder is not empty or the number of parts is out of range.
        GraphFileError: If an edge is malformed.

    Cost: six passes over the edges, in the memory of a few numbers per node, one part of the edges,
    a chunk of features, and what ``method`` takes.
    """
    check_folder(folder)
    folder = folder.absolute()
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    aside.mkdir()
    try:
        info = _Writer(aside, edges, nodes, parts, method).write()
        if folder.exists():
            folder.rmdir()
        aside.replace(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return info


class _Writer:
    """The state of one partition."""

    def __init__(
        self, folder: Path, edges: EdgeList, nodes: NodeData, parts: int, method: str
    ) -> None:
        self.folder, self.edges, self.nodes, self.parts = folder, edges, nodes, parts
        self.summary: Summary = summarize(edges, nodes.num_nodes)
        self.method = method
        self.part = assign(edges, nodes.num_nodes, parts, method)

    def write(self) -> dict[str, Any]:
        count = self.nodes.num_nodes
        cut, is_boundary = self._cut()
        # Within a part interior nodes come first, then boundary ones, in the order of the graph.
        self.order = np.lexsort((np.arange(count), is_boundary, self.part))
        self.sizes = np.bincount(self.part, minlength=self.parts)
        starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self.local = np.empty(count, dtype=np.int64)
        self.local[self.order] = np.arange(count) - np.repeat(starts[:-1], self.sizes)
        self.owned = [self.order[a:b] for a, b in pairwise(starts)]
        self.interior = [int((~is_boundary[nodes]).sum()) for nodes in self.owned]
        for part in range(self.parts):
            part_folder(self.folder, part).mkdir()
        self._bucket()
        self.halos = [self._write_rows(part) for part in range(self.parts)]
        classes = self._classes()
        self.is_sparse = self._is_sparse()
        digests = [self._write_part(part, classes) for part in range(self.parts)]
        label, groups, closed = classes
        info = {
            "format": FORMAT,
            "version": VERSION,
            "parts": self.parts,
            "method": self.method,
            "nodes": count,
            "edges": self.summary.edges,
            "features": self.nodes.channels,
            "classes": int(self.nodes.y.max(initial=-1)) + 1,
            "undirected": self.summary.undirected,
            "weighted": self.edges.weighted,
            "loops": self.summary.loops,
            "components": int(label.max()) + 1,
            "groups": int(groups.max()) + 1,
            "all_closed": bool(closed.all()),
            "sizes": self.sizes.tolist(),
            "halos": [len(halo) for halo in self.halos],
            "cut_edges": cut,
            **self.nodes.about,
            "part_digests": digests,
        }
        write_json(self.folder / MAIN, info)
        return info

    def _cut(self) -> tuple[int, Array]:
        """Number of edges between parts, and which nodes receive from another part."""
        cut, is_boundary = 0, np.zeros(self.nodes.num_nodes, dtype=bool)
        for source, target, _ in self.edges.chunks():
            between = self.part[source] != self.part[target]
            cut += int(between.sum())
            is_boundary[target[between]] = True
        return cut, is_boundary

    def _bucket(self) -> None:
        """Append every edge to the file of the part of its target, loops to an array."""
        count = self.nodes.num_nodes
        self.loops = np.zeros(count)
        self.has_loop = np.zeros(count, dtype=bool)
        files = [self._edge_file(part).open("wb") for part in range(self.parts)]
        try:
            for source, target, weight in self.edges.chunks():
                values = np.ones(len(source)) if weight is None else weight
                loop = source == target
                np.add.at(self.loops, source[loop], values[loop])
                self.has_loop[source[loop]] = True
                source, target, values = (v[~loop] for v in (source, target, values))
                to = self.part[target]
                rows = np.empty((len(source), 3), dtype=np.int64)
                rows[:, 0], rows[:, 1] = self.local[target], source
                rows[:, 2] = values.view(np.int64)
                for part, file in enumerate(files):
                    file.write(rows[to == part].tobytes())
        finally:
            for file in files:
                file.close()

    def _edge_file(self, part: int) -> Path:
        return self.folder / f"edges-{part}"

    def _write_rows(self, part: int) -> Array:
        """Write the rows of a part, and return its halo: nodes of others, grouped by part."""
        path = self._edge_file(part)
        rows = np.fromfile(path, dtype=np.int64).reshape(-1, 3)
        path.unlink()
        target, source, weight = rows[:, 0], rows[:, 1], rows[:, 2].copy().view(np.float64)
        del rows
        n, there = int(self.sizes[part]), self.part[source] != part
        halo = np.unique(source[there])
        halo = halo[np.argsort(self.part[halo], kind="stable")]
        by_node = np.argsort(halo, kind="stable")
        column = self.local[source]
        column[there] = n + by_node[np.searchsorted(halo[by_node], source[there])]
        # Every row has a loop, which is the first of equal columns, as there is but one.
        every = np.arange(n)
        row, column = np.concatenate([target, every]), np.concatenate([column, every])
        order = np.argsort(row * (n + len(halo)) + column, kind="stable")
        index = np.int32 if max(n + len(halo), len(order)) < 2**31 else np.int64
        counts = np.bincount(row, minlength=n)
        self._save(part, "rowptr", np.concatenate([[0], np.cumsum(counts)]).astype(index))
        self._save(part, "col", column[order].astype(index))
        if self.edges.weighted:
            weight = np.concatenate([weight, self.loops[self.owned[part]]])[order]
            self._save(part, "weight", weight)
        if self.summary.loops:
            self._save(part, "loop", self.loops[self.owned[part]])
            self._save(part, "has_loop", self.has_loop[self.owned[part]])
        return halo

    def _classes(self) -> tuple[Array, Array, Array]:
        """Component and closed class of every node, and whether it lies in a closed one.

        As in :func:`grandpp.linalg.components.find_classes`. Only directed graphs are held in
        memory for it.
        """
        count = self.nodes.num_nodes
        label, components = weak_components(self.edges, count)
        closed = np.ones(count, dtype=bool)
        if self.summary.undirected:
            return label, label, closed
        ends = []
        for source, target, weight in self.edges.chunks():
            counts = np.ones(len(source), dtype=bool) if weight is None else weight > 0
            ends.append(np.stack([target[counts], source[counts]]))
        row, col = np.concatenate([*ends, np.empty((2, 0), dtype=np.int64)], axis=1)
        graph = coo_matrix((np.ones(len(row), dtype=bool), (row, col)), shape=(count, count))
        strong, group = connected_components(graph.tocsr(), connection="strong")
        if strong == components:
            return label, label, closed
        is_closed = np.ones(strong, dtype=bool)
        is_closed[group[row[group[row] != group[col]]]] = False
        number = np.where(is_closed, np.cumsum(is_closed) - 1, is_closed.sum())
        return label, number[group].astype(np.int64), is_closed[group]

    def _write_part(self, part: int, classes: tuple[Array, Array, Array]) -> str:
        nodes, halo = self.owned[part], self.halos[part]
        label, groups, closed = classes
        self._save(part, "nodes", nodes)
        self._save(part, "halo", halo)
        sent = [self.local[h[self.part[h] == part]] for h in self.halos]
        self._save(part, "send", np.concatenate(sent).astype(np.int64))
        self._save(part, "y", self.nodes.y[nodes].astype(np.int64))
        for name, mask in self.nodes.masks.items():
            self._save(part, name, np.asarray(mask[nodes], dtype=bool))
        if self.nodes.targets is not None:
            target, share = self.nodes.targets
            self._save(part, "target", target[nodes].astype(np.int64))
            self._save(part, "target_weight", share[nodes].astype(np.float64))
        if self.nodes.target_proba is not None:
            self._save(part, "target_proba", self.nodes.target_proba[nodes].astype(np.float32))
        self._save(part, "component", label[nodes])
        if not bool(closed.all()):
            self._save(part, "group", groups[nodes])
            self._save(part, "closed", closed[nodes])
        self._write_features(part)
        folder = part_folder(self.folder, part)
        arrays = {path.stem: described(path) for path in sorted(folder.glob("*.npy"))}
        about = {
            "part": part,
            "interior": self.interior[part],
            "send_counts": [len(rows) for rows in sent],
            "receive_counts": np.bincount(self.part[halo], minlength=self.parts).tolist(),
            "arrays": arrays,
        }
        write_json(folder / PART, about)
        return file_digest(folder / PART)

    def _is_sparse(self) -> bool:
        """Whether features are kept as the entries that are not zero."""
        if self.nodes.x is None:
            return self.nodes.sparse is not None
        x, filled = self.nodes.x, 0
        for start in range(0, len(x), _ROWS):
            filled += int(np.count_nonzero(x[start : start + _ROWS]))
        return filled <= _SPARSE * x.size

    def _write_features(self, part: int) -> None:
        nodes = self.owned[part]
        if not self.is_sparse:
            if self.nodes.x is not None:
                self._save_rows(part, self.nodes.x, nodes)
            return
        if self.nodes.sparse is not None:
            rowptr, col, value = self.nodes.sparse
            counts = rowptr[nodes + 1] - rowptr[nodes]
            starts = np.concatenate([[0], np.cumsum(counts)])
            taken = np.arange(starts[-1]) + np.repeat(rowptr[nodes] - starts[:-1], counts)
            columns, values = np.asarray(col[taken]), np.asarray(value[taken])
        else:
            starts, columns, values = self._entries(nodes)
        index = np.int32 if max(int(starts[-1]), self.nodes.channels) < 2**31 else np.int64
        self._save(part, "x_rowptr", starts.astype(index))
        self._save(part, "x_col", columns.astype(index))
        self._save(part, "x_value", values)

    def _entries(self, nodes: Array) -> tuple[Array, Array, Array]:
        """Row offsets, columns and values of the entries of dense features."""
        x: Any = self.nodes.x
        counts, columns, values = [np.zeros(1, dtype=np.int64)], [], []
        for start in range(0, len(nodes), _ROWS):
            rows = np.asarray(x[nodes[start : start + _ROWS]])
            filled = rows != 0
            counts.append(filled.sum(axis=1))
            columns.append(filled.nonzero()[1])
            values.append(rows[filled])
        return np.cumsum(np.concatenate(counts)), np.concatenate(columns), np.concatenate(values)

    def _save_rows(self, part: int, x: Array, nodes: Array) -> None:
        path = part_folder(self.folder, part) / "x.npy"
        shape = (len(nodes), x.shape[1])
        out = np.lib.format.open_memmap(path, "w+", x.dtype, shape, version=(1, 0))
        for start in range(0, len(nodes), _ROWS):
            out[start : start + _ROWS] = x[nodes[start : start + _ROWS]]
        out.flush()

    def _save(self, part: int, name: str, array: Array) -> None:
        path = part_folder(self.folder, part) / f"{name}.npy"
        np.save(path, np.ascontiguousarray(array), allow_pickle=False)
