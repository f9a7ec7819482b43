"""Node-classification graphs by name, preprocessed in the same way."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch_geometric.transforms as T
from torch_geometric.data import Data
from torch_geometric.datasets import KarateClub
from torch_geometric.utils import remove_self_loops, to_undirected

from grandpp.data.checks import check_data
from grandpp.data.digests import RAW_SETS
from grandpp.data.errors import DatasetIntegrityError
from grandpp.data.features import is_sparse, normalize_rows, select_rows, with_layout
from grandpp.data.files import expand_home
from grandpp.data.graph_files import read_graph
from grandpp.data.locate import locate
from grandpp.data.pyg_sets import PYG, load_pyg
from grandpp.data.readers import read_arxiv, read_benchmark, read_planetoid
from grandpp.data.scaling import scaled
from grandpp.data.synthetic import sbm

DATASETS = (*RAW_SETS, "KarateClub", "sbm")
_BY_LOWER = {known.lower(): known for known in DATASETS}
_PLANETOID = ("Cora", "CiteSeer", "PubMed")


@dataclass(frozen=True)
class GraphSize:
    """Numbers of classes, features, nodes and edges (thesis Table 4.11)."""

    classes: int
    features: int
    nodes: int
    edges: int


EXPECTED_SIZES = {
    "Cora": GraphSize(7, 1433, 2485, 5069),
    "CiteSeer": GraphSize(6, 3703, 2120, 3679),
    "PubMed": GraphSize(3, 500, 19717, 44324),
    "CoauthorCS": GraphSize(15, 6805, 18333, 81894),
    "Computers": GraphSize(10, 767, 13381, 245778),
    "Photo": GraphSize(8, 745, 7487, 119043),
    "ogbn-arxiv": GraphSize(40, 128, 169343, 1166243),
    "KarateClub": GraphSize(4, 34, 34, 78),
}


def load_dataset(
    name: str | Path,
    root: str | Path | None = None,
    *,
    download: bool = True,
    progress: bool = True,
    sparse: bool | None = None,
    **sbm_options: Any,
) -> Data:
    """Load a graph by name, from files of your own, or from one of PyG's data sets.

    The named graphs are undirected, without self-loops, cut to the largest component, and their
    rows of features sum to 1.

    Sources: Cora, CiteSeer, PubMed (Yang et al., 2016), CoauthorCS, Computers, Photo (Shchur et
    al., 2018), ogbn-arxiv (Hu et al., 2020; features as published), KarateClub (in PyG; one-hot
    features) and ``sbm`` (:func:`grandpp.data.sbm`, drawn in memory). Nodes keep their order.

    Files are looked for in ``root``, then ``$GRANDPP_DATA``, then the cache folder
    (``$XDG_CACHE_HOME/grandpp`` or ``~/.cache/grandpp``), in PyG's layout, for example
    ``<folder>/Cora/raw/ind.cora.x``; a set that is in none of them is downloaded to the cache.
    Only files with the published digest are unpickled; npz and csv files never are. Nothing is
    written into ``root`` or ``$GRANDPP_DATA``.

    A name that is a path, ``my.npz`` or a folder with ``edges.csv``, ``features.csv`` and
    ``labels.csv``, is read by :func:`grandpp.data.read_graph`: undirected and without self-loops,
    but with all components, and features as they are or, where they have units, standardised, as
    :class:`grandpp.NodeClassifier` has them (:class:`grandpp.data.scaling.Scaling`).
    ``pyg:Actor``, or ``pyg:WebKB:Texas`` for a
    class with several sets, is that data set of :mod:`torch_geometric.datasets`, from files in
    ``<folder>/Actor`` (or ``<folder>/Texas``) of the same folders, in the same form; it is never
    downloaded. PyG's own readers unpickle some of these files: use only files that you trust.

    Args:
        name: one of ``DATASETS``, in any case; a path; or ``pyg:`` and the name of a class.
        root: folder of data sets to look in first. (default: ``None``)
        download: whether to download a set that is in no folder. (default: ``True``)
        progress: whether to show a progress bar while downloading. (default: ``True``)
        sparse: whether ``x`` is a ``torch.sparse_csr`` matrix, which every model of this package
            and the linear maps of PyG's layers take. (default: ``None``, where dense features
            would take more than 256 MiB and at most 5 % of them are non-zero: CoauthorCS)
        **sbm_options: arguments of :func:`grandpp.data.sbm`, for ``name="sbm"`` only.

    Returns:
        Data with ``x`` ``[num_nodes, num_features]``, ``edge_index`` ``[2, 2 * num_edges]``, ``y``
        ``[num_nodes]``, the canonical ``name`` and ``num_classes``; no masks.

    Raises:
        ValueError: the name is unknown; the message lists the choices.
        TypeError: ``sbm_options`` were given for another set.
        DatasetNotFoundError: the files are nowhere and cannot be downloaded.
        DatasetIntegrityError: a file or the graph's size differs from the published one.
        GraphFileError: a file of your own is malformed; names the file and the line.

    Note:
        Dense features take less than 100 MB, except for CoauthorCS: 0.5 GB, or 17 MB as
        ``torch.sparse_csr``, of which no dense copy is made. Copy a graph with sparse features by
        ``data.clone()``; torch does not support :func:`copy.deepcopy` of this layout.

    Example:
        >>> data = load_dataset("KarateClub")
        >>> data.num_nodes, data.num_edges, data.num_classes
        (34, 156, 4)
    """
    own = _load_own(name, root, sparse)
    if own is not None:
        if sbm_options:
            raise TypeError(f"{name} takes no further options (got {', '.join(sbm_options)})")
        return own
    name = _canonical(name)
    if name == "sbm":
        data = sbm(**sbm_options)
        data.x = with_layout(data.x, sparse)
        return data
    if sbm_options:
        raise TypeError(f"{name} takes no further options (got {', '.join(sorted(sbm_options))})")
    if name == "KarateClub":
        data = KarateClub()[0]
    else:
        content = locate(name, RAW_SETS[name], root, download=download, progress=progress)
        data = _read(name, content)
    if name == "ogbn-arxiv":  # its published size is that of the directed citations
        _check_size(name, data, data.edge_index.size(1))
    data = _tidy(data)
    if is_sparse(data.x):
        data.x = normalize_rows(data.x)
    elif name not in ("ogbn-arxiv", "KarateClub"):
        data = T.NormalizeFeatures()(data)
    data.x = with_layout(data.x, sparse)
    if name != "ogbn-arxiv":
        _check_size(name, data, data.edge_index.size(1) // 2)
    check_data(data)
    data.name, data.num_classes = name, int(data.y.max()) + 1
    return data


def _load_own(name: str | Path, root: str | Path | None, sparse: bool | None) -> Data | None:
    """The graph of a path or of a class of PyG; ``None`` for any other name."""
    if not isinstance(name, str | Path) or str(name).lower() in _BY_LOWER or not str(name):
        return None
    if str(name).startswith(PYG):
        data = load_pyg(str(name), root)
        data.x = with_layout(scaled(data.x), sparse)
        return data
    path = expand_home(name)
    if isinstance(name, Path) or path.exists() or path.suffix or len(path.parts) > 1:
        data = read_graph(path, sparse=sparse)
        data.x = scaled(data.x)
        return data
    return None


def _canonical(name: str | Path) -> str:
    if not isinstance(name, str) or name.lower() not in _BY_LOWER:
        raise ValueError(
            f"unknown data set {name!r}; choose one of {', '.join(DATASETS)}, a file or folder, or "
            "pyg: and the name of a data set of PyG"
        )
    return _BY_LOWER[name.lower()]


def _read(name: str, content: Mapping[str, bytes]) -> Data:
    """Choose the reader; report any error of it as damaged files."""
    try:
        if name in _PLANETOID:
            return read_planetoid(name, content)
        return read_arxiv(content) if name == "ogbn-arxiv" else read_benchmark(content)
    except (
        ArithmeticError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DatasetIntegrityError(
            f"the files of {name} ({', '.join(content)}) cannot be read: {error}"
        ) from error


def _tidy(data: Data) -> Data:
    """Make the graph undirected, without loops and duplicates, and keep its largest component."""
    edge_index, _ = remove_self_loops(data.edge_index)
    edge_index = to_undirected(edge_index, num_nodes=data.x.size(0))
    # Without the features: PyG cannot select rows of sparse ones.
    nodes = torch.arange(data.x.size(0))
    plain = Data(edge_index=edge_index, y=data.y.view(-1).long(), nodes=nodes)
    plain = T.LargestConnectedComponents()(plain)
    return Data(x=select_rows(data.x, plain.nodes), edge_index=plain.edge_index, y=plain.y)


def _check_size(name: str, data: Data, num_edges: int) -> None:
    found = GraphSize(int(data.y.max()) + 1, data.x.size(1), data.x.size(0), num_edges)
    if found != EXPECTED_SIZES[name]:
        raise DatasetIntegrityError(f"{name}: expected {EXPECTED_SIZES[name]} (got {found})")
