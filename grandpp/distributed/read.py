"""Read a shard: check its files, memory-map its arrays, build its part of the graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grandpp.distributed.arrays import ShardError, file_digest, open_array, read_json
from grandpp.distributed.edges import Array
from grandpp.distributed.exchange import Halo, RankReductions
from grandpp.distributed.graph import ShardedGraph
from grandpp.distributed.matrix import RowShard
from grandpp.distributed.write import FORMAT, MAIN, PART, VERSION, part_folder
from grandpp.linalg import CSR
from grandpp.linalg.components import Classes, Components
from grandpp.models import SparseFeatures

MASKS = ("train_mask", "val_mask", "test_mask")
_INDEX = ("int32", "int64")
# Types that arrays may have, and their length in nodes n, halo h, entries e and features f.
_ARRAYS: dict[str, tuple[tuple[str, ...], str]] = {
    "nodes": (("int64",), "n"),
    "rowptr": (_INDEX, "n+1"),
    "col": (_INDEX, "e"),
    "halo": (("int64",), "h"),
    "send": (("int64",), "s"),
    "y": (("int64",), "n"),
    "component": (("int64",), "n"),
    "weight": (("float64",), "e"),
    "loop": (("float64",), "n"),
    "has_loop": (("bool",), "n"),
    "group": (("int64",), "n"),
    "closed": (("bool",), "n"),
    **dict.fromkeys(MASKS, (("bool",), "n")),
    "target": (("int64",), "n"),
    "target_weight": (("float64",), "n"),
    "target_proba": (("float32",), "n,c"),
    "x": (("float32", "float64"), "n,f"),
    "x_rowptr": (_INDEX, "n+1"),
    "x_col": (_INDEX, "v"),
    "x_value": (("float32", "float64"), "v"),
}
_ALWAYS = ("nodes", "rowptr", "col", "halo", "send", "y", "component")


@dataclass(frozen=True, eq=False)
class Shard:
    """The part of a graph that one rank holds.

    Args:
        graph: Its rows of the graph.
        x: Features of its nodes ``[n, F]``; memory-mapped where they are dense.
        y: Their classes, int64 ``[n]``.
        nodes: Their numbers in the whole graph, int64 ``[n]``.
        masks: ``train_mask``, ``val_mask`` and ``test_mask`` of the split, bool ``[n]`` each.
        info: The content of ``shards.json``.
        targets: For training on clusters, their classes, int64 ``[n]``, and their shares in the
            loss, float64 ``[n]``. (default: ``None``)
        target_proba: Probabilities of the clusters, float32 ``[n, C]``, where they have some.
            (default: ``None``)
    """

    graph: ShardedGraph
    x: Tensor | SparseFeatures
    y: Tensor
    nodes: Tensor
    masks: dict[str, Tensor]
    info: dict[str, Any]
    targets: tuple[Tensor, Tensor] | None = None
    target_proba: Tensor | None = None


def read_info(folder: Path, parts: int | None = None) -> dict[str, Any]:
    """Read and check ``shards.json``.

    Args:
        folder: Folder of the shards.
        parts: Number of ranks. (default: ``None``, any)

    Raises:
        ShardError: If it is missing, of another format, or for another number of ranks.
    """
    info = read_json(folder / MAIN)
    if (info.get("format"), info.get("version")) != (FORMAT, VERSION):
        raise ShardError(f"{folder / MAIN}: expected shards of version {VERSION}")
    if parts is not None and info["parts"] != parts:
        raise ShardError(
            f"{folder}: expected shards for {parts} ranks (got {info['parts']} parts): start as "
            "many ranks as there are parts, or partition again"
        )
    return info


def read_shard(
    folder: str | Path,
    part: int,
    parts: int | None = None,
    *,
    verify: bool = True,
    device: torch.device | None = None,
) -> Shard:
    """Read the shard of one rank.

    Args:
        folder: Folder that ``grandpp partition`` wrote.
        part: Number of the part, the rank.
        parts: Number of ranks, compared with the number of parts. (default: ``None``, unchecked)
        verify: Read all arrays once and compare their digests. (default: ``True``)
        device: Device of the graph; features are not moved. (default: ``None``, the CPU)

    Raises:
        ShardError: If a part or a file is missing, truncated or changed, or the number of ranks is
            not that of the parts. It is a subclass of ``ValueError``.
    """
    folder = Path(folder)
    info = read_info(folder, parts)
    if not 0 <= part < info["parts"]:
        raise ShardError(f"{folder}: expected a part below {info['parts']} (got {part})")
    home = part_folder(folder, part)
    about = read_json(home / PART)
    if about.get("part") != part or file_digest(home / PART) != info["part_digests"][part]:
        raise ShardError(f"{home}: expected part {part} of these shards (got one of others)")
    arrays = _open(home, about, info, verify)
    _check_numbers(home, about, info, arrays)
    return _assemble(arrays, about, info, device or torch.device("cpu"))


def _open(
    home: Path, about: dict[str, Any], info: dict[str, Any], verify: bool
) -> dict[str, Array]:
    listed = about["arrays"]
    for name in _ALWAYS:
        if name not in listed:
            raise ShardError(f"{home / PART}: expected an array '{name}'")
    unknown = sorted(set(listed) - set(_ARRAYS))
    if unknown:
        raise ShardError(f"{home / PART}: expected known arrays (got {', '.join(unknown)})")
    arrays = {}
    for name, described in listed.items():
        array = open_array(home / f"{name}.npy", described, verify)
        types, _ = _ARRAYS[name]
        if array.dtype.name not in types:
            raise ShardError(
                f"{home / name}.npy: expected {' or '.join(types)} (got {array.dtype})"
            )
        arrays[name] = array
    part = about["part"]
    sizes = {
        "n": info["sizes"][part],
        "n+1": info["sizes"][part] + 1,
        "h": info["halos"][part],
        "s": sum(about["send_counts"]),
        "e": len(arrays["col"]),
        "v": len(arrays.get("x_col", ())),
    }
    for name, array in arrays.items():
        length = _ARRAYS[name][1]
        if length in ("n,f", "n,c"):
            columns = info["features" if length == "n,f" else "classes"]
            wanted: tuple[int, ...] = (sizes["n"], columns)
        else:
            wanted = (sizes[length],)
        if array.shape != wanted:
            raise ShardError(
                f"{home / name}.npy: expected shape {list(wanted)} (got {list(array.shape)})"
            )
    return arrays


def _check_numbers(
    home: Path, about: dict[str, Any], info: dict[str, Any], arrays: dict[str, Array]
) -> None:
    """Check all indices, which kernels trust."""
    part, parts = about["part"], info["parts"]
    n, h = info["sizes"][part], info["halos"][part]
    counts = about["send_counts"], about["receive_counts"]
    if any(len(c) != parts or c[part] or min(c) < 0 for c in counts) or sum(counts[1]) != h:
        raise ShardError(f"{home / PART}: expected one count of rows to exchange for each part")
    _check_rows(home, "rowptr", arrays["rowptr"], arrays["col"], n + h)
    _check_range(home, "send", arrays["send"], n)
    _check_range(home, "component", arrays["component"], info["components"])
    if "group" in arrays:
        _check_range(home, "group", arrays["group"], info["groups"])
    if not 0 <= about["interior"] <= n:
        raise ShardError(f"{home / PART}: expected up to {n} interior nodes")
    inside = arrays["col"][: int(arrays["rowptr"][about["interior"]])]
    _check_range(home, "col", inside, n)
    if "x_rowptr" in arrays:
        _check_rows(home, "x_rowptr", arrays["x_rowptr"], arrays["x_col"], info["features"])
    if ("target" in arrays) != ("target_weight" in arrays):
        raise ShardError(f"{home / PART}: expected 'target' and 'target_weight', or neither")
    if "target" in arrays:
        _check_range(home, "target", arrays["target"], info["classes"])
        share = arrays["target_weight"]
        if not (np.isfinite(share).all() and (share >= 0).all()):
            raise ShardError(f"{home / 'target_weight.npy'}: expected finite shares, none negative")
    proba = arrays.get("target_proba")
    if proba is not None and not ((proba >= 0) & (proba <= 1)).all():
        raise ShardError(f"{home / 'target_proba.npy'}: expected probabilities in [0, 1]")
    y = arrays["y"]
    if y.size and not (y.min() >= -1 and y.max() < info["classes"]):
        raise ShardError(f"{home / 'y.npy'}: expected classes below {info['classes']}")


def _check_rows(home: Path, name: str, rowptr: Array, col: Array, columns: int) -> None:
    rises = rowptr[0] == 0 and rowptr[-1] == len(col) and bool((np.diff(rowptr) >= 0).all())
    if not rises:
        raise ShardError(f"{home / name}.npy: expected row offsets from 0 to {len(col)}")
    _check_range(home, name.replace("rowptr", "col"), col, columns)


def _check_range(home: Path, name: str, index: Array, end: int) -> None:
    if index.size and not (index.min() >= 0 and index.max() < end):
        raise ShardError(f"{home / name}.npy: expected numbers in [0, {end})")


def _assemble(
    arrays: dict[str, Array], about: dict[str, Any], info: dict[str, Any], device: torch.device
) -> Shard:
    tensors = {
        name: torch.from_numpy(np.array(array)).to(device)
        for name, array in arrays.items()
        if name not in ("x", "x_rowptr", "x_col", "x_value", "halo")
    }
    ranks = RankReductions(tuple(info["sizes"]), device)
    counts = tuple(about["send_counts"]), tuple(about["receive_counts"])
    halo = Halo(tensors["send"], *counts)
    csr = RowShard.of(tensors["rowptr"], tensors["col"], about["interior"], halo, ranks)
    nothing = torch.empty(0, dtype=torch.int64, device=device)
    graph = ShardedGraph(
        csr,
        csr.col_long == csr.row,
        nothing,
        nothing,
        nothing,
        info["edges"],
        info["undirected"],
        _classes(tensors, info, ranks),
        tensors.get("weight"),
        _own_loops(tensors),
    )
    masks = {name: tensors[name] for name in MASKS if name in tensors}
    targets = None
    if "target" in tensors:
        targets = tensors["target"], tensors["target_weight"]
    x, y, nodes = _features(arrays, info), tensors["y"], tensors["nodes"]
    return Shard(graph, x, y, nodes, masks, info, targets, tensors.get("target_proba"))


def _classes(tensors: dict[str, Tensor], info: dict[str, Any], ranks: RankReductions) -> Classes:
    components = Components(tensors["component"], info["components"], ranks)
    if "group" not in tensors:
        every = torch.ones_like(components.label, dtype=torch.bool)
        return Classes(components, components, every, True)
    groups = Components(tensors["group"], info["groups"], ranks)
    return Classes(components, groups, tensors["closed"], False)


def _own_loops(tensors: dict[str, Tensor]) -> Tensor | None:
    if "loop" not in tensors:
        return None
    return tensors["loop"].masked_fill(~tensors["has_loop"], torch.nan)


def _features(arrays: dict[str, Array], info: dict[str, Any]) -> Tensor | SparseFeatures:
    if "x" in arrays:
        return torch.from_numpy(arrays["x"])
    if "x_rowptr" not in arrays:
        raise ShardError("expected features 'x' or 'x_rowptr', 'x_col' and 'x_value'")
    rowptr, col, values = (
        torch.from_numpy(np.array(arrays[f"x_{name}"])) for name in ("rowptr", "col", "value")
    )
    order = torch.empty(0, dtype=torch.int64)
    shape = (rowptr.numel() - 1, info["features"])
    return SparseFeatures(CSR(rowptr, col, *shape, order), values)
