"""From verified bytes to graphs, by the readers of PyG and ogb, without their folders."""

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
from torch_geometric.io import read_npz, read_planetoid_data

_NPZ_KEYS = tuple(
    f"{matrix}_{part}"
    for matrix in ("adj", "attr")
    for part in ("data", "indices", "indptr", "shape")
)


def read_planetoid(name: str, content: Mapping[str, bytes]) -> Data:
    """Read the eight files of a Planetoid set; they are pickles, so they must be verified.

    Args:
        name: Cora, CiteSeer or PubMed (missing test nodes are filled in for CiteSeer).
        content: verified bytes by file name.
    """
    with _private_folder(content) as folder, warnings.catch_warnings():
        return read_planetoid_data(str(folder), name.lower())


def read_benchmark(content: Mapping[str, bytes]) -> Data:
    """Read one npz file of the gnn-benchmark sets; only numeric arrays, never a pickle.

    Args:
        content: bytes of the one file by its name.

    Raises:
        ValueError: an array holds Python objects.
    """
    ((name, raw),) = content.items()
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        numeric = {key: arrays[key] for key in (*_NPZ_KEYS, "labels")}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **numeric)
    with _private_folder({name: buffer.getvalue()}) as folder:
        return read_npz(str(folder / name), to_undirected=True)


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
    """A short-lived folder with the given files, which no one else can change after the check."""
    with tempfile.TemporaryDirectory(prefix="grandpp-") as name:
        folder = Path(name)
        for file, raw in content.items():
            (folder / file).write_bytes(raw)
        yield folder
