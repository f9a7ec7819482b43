"""Data sets of PyG by the name of their class, from files on disk, as one graph."""

from __future__ import annotations

import inspect
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch_geometric.datasets
from torch_geometric.data import Data, Dataset

from grandpp.data.errors import DatasetError, DatasetNotFoundError
from grandpp.data.files import search_folders
from grandpp.data.graph_files.assemble import assemble
from grandpp.data.graph_files.bundles import bundle_of
from grandpp.data.graph_files.notices import Parts

PYG = "pyg:"


class _NotOnDiskError(Exception):
    """A data set of PyG wants to be downloaded."""


def load_pyg(name: str, root: str | Path | None = None) -> Data:
    """Read a node-classification graph of :mod:`torch_geometric.datasets` whose files are on disk.

    PyG's readers run on links to the files in a temporary folder: nothing is written beside them.

    Args:
        name: ``pyg:Actor``, or ``pyg:WebKB:Texas`` for a class that takes a name.
        root: Folder of data sets to look in first. (default: ``None``)

    Returns:
        Data as from :func:`grandpp.data.read_graph`: undirected, without self-loops, not cut.

    Raises:
        ValueError: There is no such class, or it needs a name.
        DatasetNotFoundError: The files are in none of the folders.
        DatasetError: They cannot be read, or are not one graph with labelled nodes.
    """
    _, kind, *rest = name.split(":")
    found = {known.lower(): known for known in torch_geometric.datasets.__all__}
    if kind.lower() not in found or len(rest) > 1:
        raise ValueError(
            f"expected a class of torch_geometric.datasets, such as pyg:Actor (got {name!r})"
        )
    cls = getattr(torch_geometric.datasets, found[kind.lower()])
    if not (inspect.isclass(cls) and issubclass(cls, Dataset)):
        raise ValueError(f"expected a data set of PyG (got {name!r})")
    parameters = inspect.signature(cls.__init__).parameters
    needs = "name" in parameters and parameters["name"].default is inspect.Parameter.empty
    if needs and not rest:
        raise ValueError(f"expected the name of one of its sets, as pyg:{cls.__name__}:NAME")
    if "root" not in parameters or (rest and "name" not in parameters):
        raise ValueError(f"expected a data set of PyG with files of its own (got {name!r})")
    data = _load(cls, rest, root)
    path = Path(":".join(["pyg", cls.__name__, *rest]))
    bundle = bundle_of(data, path)
    if bundle.features is None or bundle.labels is None:
        missing = "x" if bundle.features is None else "y"
        raise DatasetError(f"{path}: expected a graph with {missing!r} (got none)")
    parts = Parts(bundle.edges, bundle.features, bundle.labels, None, {}, (path, path, path))
    short = rest[0] if rest else cls.__name__
    return assemble(parts, name=short, directed=False, self_loops=False)


def _load(cls: Any, rest: list[str], root: str | Path | None) -> Data:
    """Try the folders in their order."""
    options = {"name": rest[0]} if rest else {}
    looked = []
    for folder, inside in _places(cls.__name__, rest, root):
        looked.append(str(folder / inside) if inside else str(folder))
        if not (folder / inside).is_dir():
            continue
        try:
            return _read(cls, options, folder, inside)
        except _NotOnDiskError:
            looked[-1] += " (incomplete)"
    raise DatasetNotFoundError(
        f"data set pyg:{':'.join([cls.__name__, *rest])} was not found: looked in "
        f"{', '.join(looked)}; it is not downloaded: let PyG do that once, "
        f"torch_geometric.datasets.{cls.__name__}(root=<folder>{', ...' if rest else ''}), and "
        "name the folder as root or in $GRANDPP_DATA"
    )


def _places(kind: str, rest: list[str], root: str | Path | None) -> Iterator[tuple[Path, str]]:
    """Roots of PyG's layout, and which folder inside has the files (empty: the root itself)."""
    for folder in search_folders(root):
        if rest:
            yield folder / kind, ""
            yield folder, rest[0]
            yield folder, rest[0].lower()
        else:
            yield folder / kind, ""
            yield folder / kind.lower(), ""


def _read(cls: Any, options: dict[str, str], folder: Path, inside: str) -> Data:
    """Run PyG's reader on links to the files; a download counts as files that are missing."""

    def download(self: Any) -> None:
        raise _NotOnDiskError

    offline = type(cls.__name__, (cls,), {"download": download})
    with tempfile.TemporaryDirectory(prefix="grandpp-") as temporary:
        base = Path(temporary)
        source = folder / inside if inside else folder
        for place, _, files in os.walk(source, followlinks=True):
            target = base / inside / Path(place).relative_to(source)
            target.mkdir(parents=True, exist_ok=True)
            for file in files:
                (target / file).symlink_to(Path(place).resolve() / file)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = offline(root=str(base), **options)
                graphs = len(dataset)
                data = dataset[0]
        except _NotOnDiskError:
            raise
        except Exception as error:  # PyG raises whatever a wrong file makes it stumble over
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise DatasetError(f"{source}: PyG's {cls.__name__} cannot read it: {first}") from None
    if graphs != 1 or not isinstance(data, Data):
        kind = f"{graphs} graphs" if graphs != 1 else type(data).__name__
        raise DatasetError(f"{source}: expected a data set of one graph (got {kind})")
    return data
