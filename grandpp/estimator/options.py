"""Options of the commands that read a graph of the user."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch_geometric.data import Data

from grandpp.data import read_graph
from grandpp.data.graph_files.read import files_of_folder
from grandpp.studies.low_label.zoo import DEFAULT_MODEL, MODELS
from grandpp.training.atomic_files import check_target
from grandpp.training.command import resolve_device
from grandpp.training.figures import check_picture
from grandpp.training.options import (
    DeviceOptions,
    ReportOptions,
    option,
    positive_int,
)


def share(text: str) -> float:
    """Parse a number between 0 and 1, for ``parse=``."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a share in (0, 1) (got '{text}')")
    return value


def whole_number(text: str) -> int:
    """Parse an integer of at least 0, for ``parse=``."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"expected an integer of at least 0 (got '{text}')")
    return int(text)


@dataclass(frozen=True, kw_only=True)
class GraphOptions(ReportOptions, DeviceOptions):
    """The graph."""

    edges: Path = option(
        "edges: two columns of node ids and perhaps a weight as CSV, TSV or Parquet; NPZ, GraphML, "
        "GML, LINQS .cites, MATLAB, a PyG graph, or a folder with edges.csv, features.csv and "
        "labels.csv",
        metavar="FILE",
    )
    features: Path | None = option(
        "features: a column of node ids, then numbers or categories, as CSV, TSV or Parquet; NPY, "
        "sparse NPZ, JSON or LINQS .content, GraphML or GML",
        default=None,
        metavar="FILE",
        shown_default="those of the edges' file if it is NPZ or PyG, else the graph's structure",
    )
    labels: Path | None = option(
        "labels of some nodes: node id and label, as CSV, TSV or Parquet, NPY, JSON, GraphML or "
        "GML; an empty cell, -1, ?, NA, NaN, null and the like mean no label",
        default=None,
        metavar="FILE",
        shown_default="those of the edges' file if it is NPZ or PyG, or of the features'",
    )
    directed: bool = option("keep the direction of edges", default=False)
    source_column: str | None = option("column of the edges' source", default=None, metavar="NAME")
    target_column: str | None = option("column of the edges' target", default=None, metavar="NAME")
    weight_column: str | None = option("column of the edges' weight", default=None, metavar="NAME")
    node_column: str | None = option(
        "column of node ids in features and labels", default=None, metavar="NAME"
    )
    label_column: str | None = option("column of the labels", default=None, metavar="NAME")
    nodes: Path | None = option(
        "node ids, one per line, in the order of the rows of features without ids",
        default=None,
        metavar="FILE",
    )
    header: bool | None = option(
        "whether the first line of tables has the names of columns",
        default=None,
        negatable=True,
        shown_default="found from the first two lines",
    )

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that are read: those named, and those in a folder."""
        inside = files_of_folder(self.edges) if self.edges.is_dir() else []
        named = (self.edges, self.features, self.labels, self.nodes, *inside)
        return tuple(path for path in named if path is not None)

    def read(self, feature_names: Sequence[str] | None = None) -> Data:
        """Read the graph.

        Args:
            feature_names: Features that are wanted, in this order.
                (default: ``None``: those of the file)
        """
        resolve_device(self.device)  # refused before the files are read
        names = ("directed", "source_column", "target_column", "weight_column", "node_column",
                 "label_column", "nodes", "header")  # fmt: skip
        columns = {name: getattr(self, name) for name in names}
        return read_graph(
            self.edges, self.features, self.labels, feature_names=feature_names, **columns
        )


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The model."""

    model: str = option(
        "one of {choices}",
        default="auto",
        choices=("auto", *MODELS),
        metavar="NAME",
        shown_default=f"auto, which is {DEFAULT_MODEL}",
    )
    ensemble: int = option(
        "number of models with different seeds whose probabilities are averaged",
        default=1,
        parse=positive_int,
        metavar="K",
    )
    seed: int = option(
        "seed of the first model; the others follow", default=0, parse=whole_number, metavar="S"
    )
    epochs: int | None = option(
        "number of training epochs",
        default=None,
        parse=positive_int,
        metavar="N",
        shown_default="those of the model; for auto five per label of a class, 30 to 100",
    )


def check_files(
    outputs: Sequence[Path | None],
    pictures: Sequence[Path | None] = (),
    inputs: Sequence[Path] = (),
    tables: Sequence[Path | None] = (),
) -> None:
    """Refuse files that could not be written, before the work that they would hold.

    Args:
        outputs: Files that will be written; ``None`` for none.
        pictures: Pictures that will be drawn, which need an ending that says how.
            (default: none)
        inputs: Files that are read, which no output may replace. (default: none)
        tables: Tables that will be written, as CSV. (default: none)

    Raises:
        ValueError: If a folder is missing, a picture has an unknown ending or a table that of
            another format, two are one file, or one is an input.
        OSError: If a folder may not be written to.
    """
    files = [path for path in (*tables, *outputs, *pictures) if path is not None]
    for path in files:
        check_target(path)
    for path in filter(None, pictures):
        check_picture(path)
    if len({path.resolve() for path in files}) < len(files):
        raise ValueError(f"expected different files (got {', '.join(map(str, files))})")
    for path in filter(Path.exists, files):
        if any(path.samefile(given) for given in inputs if given.exists()):
            raise ValueError(f"expected an output that replaces no input (got {path})")
    for path in filter(None, tables):
        if path.suffix.lower() not in ("", ".csv", ".txt"):
            raise ValueError(f"expected a name that ends in .csv for the table (got {path})")
