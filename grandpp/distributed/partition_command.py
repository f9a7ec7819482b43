"""The command that cuts a graph into shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from grandpp.data import (
    PROTOCOLS,
    GraphFileError,
    load_dataset,
    low_label_split,
    read_graph,
    split_digest,
)
from grandpp.data.errors import array_fault
from grandpp.distributed.assign import METHODS, metis_is_there
from grandpp.distributed.clusters import CLUSTERED, cluster_settings, grow_targets
from grandpp.distributed.edges import Array, ArrayEdges, EdgeList, ParquetEdges, summarize
from grandpp.distributed.write import NodeData, check_folder, write_shards
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.command import Command, Console
from grandpp.training.options import DataOptions, ReportOptions, option, positive_int


@dataclass(frozen=True, kw_only=True)
class PartitionOptions(ReportOptions, DataOptions):
    """Options of the command."""

    parts: int = option("number of parts, one for each rank", parse=positive_int, metavar="P")
    out: Path = option("folder of the shards, which must not exist or be empty", metavar="DIR")
    labels_per_class: int = option(
        "labelled training nodes of every class in the split", parse=positive_int, metavar="K"
    )
    dataset: str | None = option(
        "data set by name, or a file or folder of your own, read into memory; or give --edges",
        default=None,
        metavar="NAME",
    )
    edges: Path | None = option(
        "edges: NPY with integers [2, E] or Parquet with columns of sources, targets and perhaps "
        "weights, nodes 0, 1, ..., both directions of an undirected edge, read a chunk at a time; "
        "other formats as in 'grandpp label', read into memory",
        default=None,
        metavar="FILE",
    )
    features: Path | None = option("features: NPY [N, F]", default=None, metavar="FILE")
    labels: Path | None = option(
        "labels: NPY with integers [N], -1 where none is known", default=None, metavar="FILE"
    )
    name: str | None = option(
        "name of the data set in records, whose tuned settings are taken",
        default=None,
        metavar="NAME",
        shown_default="that of --dataset, or the name of the file of edges",
    )
    split: int = option("seed of the split", default=0, metavar="S")
    protocol: str = option(
        "which nodes choose the epoch, as in 'grandpp classify'", default="grand", choices=PROTOCOLS
    )
    clusters: str | None = option(
        "grow the clusters of this model, on the whole graph in memory, so that 'grandpp "
        "train-sharded' can train it: {choices}",
        default=None,
        choices=CLUSTERED,
        metavar="NAME",
    )
    method: str | None = option(
        "how nodes are assigned: {choices}",
        default=None,
        choices=METHODS,
        metavar="NAME",
        shown_default="metis where pymetis is installed, else label_propagation",
    )


def partition(options: PartitionOptions, console: Console) -> int:
    """Partition a graph, write its shards and print what was cut."""
    check_folder(options.out)
    if (options.dataset is None) == (options.edges is None):
        raise ValueError("expected either --dataset or --edges")
    edges, nodes = _graph(options)
    method = options.method
    if method is None and options.parts > 1 and not metis_is_there():
        console.notice(
            "pymetis is not installed, so parts are found by label propagation, which cuts more "
            "edges: pip install 'grandpp[distributed]'"
        )
    method = method or ("metis" if metis_is_there() else "label_propagation")
    info = write_shards(options.out, edges, nodes, options.parts, method)
    console.emit({k: v for k, v in info.items() if k != "part_digests"})
    console.show(summary(info))
    return 0


def summary(info: Mapping[str, Any]) -> str:
    """What a partition cut, in a few lines."""
    sizes, halos = info["sizes"], info["halos"]
    mean, share = info["nodes"] / info["parts"], info["cut_edges"] / max(1, info["edges"])
    lines = [
        f"{info['dataset']}: {info['nodes']} nodes and {info['edges']} edges in {info['parts']} "
        f"parts by {info['method'].replace('_', ' ')}",
        f"cut edges: {info['cut_edges']} ({100 * share:.2f} %); "
        f"balance: largest part {max(sizes) / mean:.3f} of the mean",
        "part    nodes     halo  halo / nodes",
    ]
    lines += [
        f"{part:4d} {size:8d} {halo:8d} {halo / size:13.3f}"
        for part, (size, halo) in enumerate(zip(sizes, halos, strict=True))
    ]
    return "\n".join(lines)


def _graph(options: PartitionOptions) -> tuple[EdgeList, NodeData]:
    if options.edges is not None and options.edges.suffix in (".npy", ".parquet"):
        return _from_files(options, options.edges)
    if options.edges is not None:
        data = read_graph(options.edges, options.features, options.labels)
    else:
        data = load_dataset(str(options.dataset), options.root, progress=not options.quiet)
    if options.name is not None:
        data.name = options.name
    weight = data.edge_weight
    edges = ArrayEdges(data.edge_index.numpy(), None if weight is None else weight.numpy())
    split = _split(options, data)
    masks, about = _masks(options, split)
    grown: dict[str, Any] = {}
    if options.clusters is not None:
        run = tuned_run(
            str(data.name), options.clusters, options.labels_per_class, protocol=options.protocol
        )
        grown, about["clusters"] = grow_targets(run, split)._asdict(), cluster_settings(run)
    if data.x.layout == torch.sparse_csr:
        parts = (data.x.crow_indices(), data.x.col_indices(), data.x.values())
        sparse, x = tuple(part.numpy() for part in parts), None
    else:
        sparse, x = None, data.x.numpy()
    return edges, NodeData(data.y.numpy(), data.x.size(1), x, sparse, masks, about, **grown)


def _from_files(options: PartitionOptions, path: Path) -> tuple[EdgeList, NodeData]:
    if options.features is None or options.labels is None:
        raise ValueError("expected --features and --labels beside edges in NPY or Parquet")
    if options.clusters is not None:
        raise ValueError(
            "expected no --clusters beside edges in NPY or Parquet, which are read a chunk at a "
            "time: clusters grow on the whole graph; give --dataset, or edges in another format"
        )
    edges = (
        ParquetEdges(path) if path.suffix == ".parquet" else ArrayEdges(_npy(path), name=str(path))
    )
    x, y = _npy(options.features), np.array(_npy(options.labels))
    if x.ndim != 2 or x.dtype not in (np.float32, np.float64):
        raise GraphFileError(
            f"{options.features}: expected float32 or float64 of shape [N, F] "
            f"(got {x.dtype} {list(x.shape)})"
        )
    if y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise GraphFileError(
            f"{options.labels}: expected integers of shape [{len(x)}], one per row of features "
            f"(got {y.dtype} {list(y.shape)})"
        )
    for start in range(0, len(x), 2**16):
        if not np.isfinite(x[start : start + 2**16]).all():
            raise GraphFileError(f"{options.features}: expected finite features (got NaN or inf)")
    summarize(edges, len(x))
    # A split looks at labels alone; a graph without edges and features stands for this one.
    labels = torch.from_numpy(y.astype(np.int64))
    data = Data(
        x=torch.zeros(len(y), 1),
        y=labels,
        edge_index=torch.empty(2, 0, dtype=torch.int64),
        name=options.name or path.stem,
    )
    masks, about = _masks(options, _split(options, data))
    return edges, NodeData(labels.numpy(), x.shape[1], x, None, masks, about)


def _npy(path: Path) -> Array:
    """Memory-map an NPY file; objects are refused."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise GraphFileError(f"{path}: expected an NPY file (there is none)") from None
    except (OSError, ValueError, EOFError) as error:
        raise GraphFileError(
            f"{path}: expected an NPY file beside edges in NPY or Parquet, which are read a chunk "
            f"at a time (got: {array_fault(error)})"
        ) from error
    if not isinstance(array, np.ndarray):
        raise GraphFileError(f"{path}: expected one array in an NPY file")
    return array


def _split(options: PartitionOptions, data: Data) -> Data:
    return low_label_split(data, options.labels_per_class, options.split, options.protocol)


def _masks(options: PartitionOptions, split: Data) -> tuple[dict[str, Array], dict[str, Any]]:
    """Masks of the split, and the entries of ``shards.json`` that name it."""
    names = ("train_mask", "val_mask", "test_mask")
    about = {
        "dataset": str(split.name),
        "split": {
            "labels_per_class": options.labels_per_class,
            "split": options.split,
            "protocol": options.protocol,
            "digest": split_digest(split),
        },
    }
    return {name: split[name].numpy() for name in names}, about


COMMAND = Command(
    "partition",
    """Cut a graph and a split into parts, one for each rank of 'grandpp train-sharded'.

Examples:
    grandpp partition --dataset Cora --labels-per-class 5 --parts 2 --out cora-2
    grandpp partition --dataset Cora --labels-per-class 1 --parts 2 --out cora-1 \\
        --clusters grand++-views-l
    grandpp partition --edges edges.npy --features x.npy --labels y.npy \\
        --labels-per-class 20 --protocol no_val --parts 8 --method label_propagation --out shards

Prints the number of edges between parts, and the sizes of parts and of their halos (the nodes of
other parts that a part needs). Edges in NPY or Parquet and features in NPY are read a chunk at a
time; with --method label_propagation no step holds all edges in memory, unless the graph is
directed.""",
    PartitionOptions,
    partition,
)
