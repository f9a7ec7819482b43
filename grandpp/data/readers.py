"""Read graphs from verified bytes by the readers of PyG and ogb."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.io import read_planetoid_data
from torch_geometric.utils import remove_self_loops, to_undirected

from grandpp.data.npz_digest import csr_of, npz_arrays


def read_planetoid(name: str, content: Mapping[str, bytes]) -> Data:
    """Read the eight files of a Planetoid set; they are pickles, so they must be verified.

    Args:
        name: Cora, CiteSeer or PubMed (missing test nodes are filled in for CiteSeer).
        content: verified bytes by file name.
    """
    with _private_folder(content) as folder, warnings.catch_warnings():
        return read_planetoid_data(str(folder), name.lower())


def read_benchmark(content: Mapping[str, bytes]) -> Data:
    """Read an npz file of the gnn-benchmark sets: numeric arrays only, no pickles.

    Like PyG's reader of these files, but with sparse features: dense features of CoauthorCS take
    0.5 GB.

    Args:
        content: bytes of one file by its name.

    Returns:
        ``x`` as a ``torch.sparse_csr`` matrix with every positive entry replaced by 1.

    Raises:
        ValueError: an array holds Python objects, or the arrays do not fit together.
    """
    (raw,) = content.values()
    arrays = npz_arrays(raw)
    words, adjacency = csr_of(arrays, "attr"), csr_of(arrays, "adj").tocoo()
    words.sum_duplicates()
    words.check_format()
    values = np.where(words.data > 0, 1.0, words.data).astype(np.float32)
    x = torch.sparse_csr_tensor(
        torch.from_numpy(words.indptr.astype(np.int64)),
        torch.from_numpy(words.indices.astype(np.int64)),
        torch.from_numpy(values),
        words.shape,
        check_invariants=False,
    )
    ends = np.stack([adjacency.row, adjacency.col]).astype(np.int64)
    edge_index, _ = remove_self_loops(torch.from_numpy(ends))
    edge_index = to_undirected(edge_index, num_nodes=x.size(0))
    y = torch.from_numpy(arrays["labels"].astype(np.int64))
    return Data(x=x, edge_index=edge_index, y=y)


def read_arxiv(content: Mapping[str, bytes]) -> Data:
    """Read the compressed text tables of ogbn-arxiv; edges are directed as published.

    Args:
        content: bytes by file name.
    """
    with _private_folder(content) as folder:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            (graph,) = _ogb_reader().read_csv_graph_raw(str(folder))
        label = np.loadtxt(folder / "node-label.csv.gz", dtype=np.int64, ndmin=1)
    return Data(
        x=torch.from_numpy(graph["node_feat"]).float(),
        edge_index=torch.from_numpy(np.ascontiguousarray(graph["edge_index"])),
        y=torch.from_numpy(label),
    )


def _ogb_reader() -> ModuleType:
    """Import ogb's table reader without the version check that ogb runs over the network."""
    before = sys.modules.get("outdated")
    sys.modules["outdated"] = None  # type: ignore[assignment]  # makes the import of it fail
    try:
        return importlib.import_module("ogb.io.read_graph_raw")
    finally:
        if before is None:
            del sys.modules["outdated"]
        else:
            sys.modules["outdated"] = before


@contextlib.contextmanager
def _private_folder(content: Mapping[str, bytes]) -> Iterator[Path]:
    """A temporary private folder with the given files, for readers that take a folder."""
    with tempfile.TemporaryDirectory(prefix="grandpp-") as name:
        folder = Path(name)
        for file, raw in content.items():
            (folder / file).write_bytes(raw)
        yield folder
