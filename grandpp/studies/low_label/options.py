"""Options that the commands on few labels share, and the graphs that they name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch_geometric.data import Data

from grandpp.data import DATASETS, PROTOCOLS, DatasetNotFoundError, load_dataset
from grandpp.training.command import Console
from grandpp.training.options import option, positive_int
from grandpp.training.settings import LABELS_CHOSEN


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Splits."""

    splits: int = option("number of splits", default=3, parse=positive_int, metavar="N")


@dataclass(frozen=True, kw_only=True)
class FirstSplitOptions(SplitOptions):
    """First split."""

    first_split: int = option(
        "seed of the first split, to keep splits for choosing settings apart from those reported",
        default=0,
        metavar="S",
    )

    @property
    def split_seeds(self) -> range:
        """Seeds of the splits."""
        return range(self.first_split, self.first_split + self.splits)


@dataclass(frozen=True, kw_only=True)
class SeedOptions:
    """Repeated runs."""

    seeds: int = option("runs per split", default=1, parse=positive_int, metavar="N")


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions:
    """Protocol."""

    protocol: str = option(
        "which nodes choose the epoch, and for grand++-views the clusters: the rest of a pool of "
        "1500 labelled nodes (grand, as in the papers), 30 per class, or none: the last epoch "
        "counts",
        default="grand",
        choices=PROTOCOLS,
    )


def _chosen(text: str) -> str:
    name = text.removeprefix("by=")
    if name not in LABELS_CHOSEN:
        choices = ", ".join(f"by={known}" for known in LABELS_CHOSEN)
        raise argparse.ArgumentTypeError(f"expected one of {choices} (got '{text}')")
    return name


@dataclass(frozen=True, kw_only=True)
class LabelsChosenOptions:
    """Which nodes are labelled."""

    labels_chosen: str | None = option(
        "also run with nodes that are chosen by coverage, as grandpp suggest does, without using "
        "labels: as many as labels per class times classes; nodes of classes without a labelled "
        "node count as wrong, and there are no validation nodes",
        default=None,
        parse=_chosen,
        metavar="by=coverage",
        shown_default="random splits only",
    )


DATASET_HELP = (
    f"of {', '.join(DATASETS)}, files of your own (my.npz, or a folder with edges.csv, "
    "features.csv and labels.csv), or a class of PyG that is on disk (pyg:Actor)"
)
"""Names of data sets, for the help of an option."""


def load_graphs(
    console: Console, names: Sequence[str], root: Path | None, device: torch.device
) -> list[Data]:
    """Load the data sets asked for, or Cora; take the embedded one only if none was named.

    Args:
        console: Prints a notice if the embedded set is taken.
        names: Names of data sets.
        root: Folder of raw data files. (default: ``None``)
        device: Where the graphs go.

    Raises:
        DatasetError: If a set that was named cannot be had, or its files are not the right ones.
        ValueError: If a name is unknown.
    """
    try:
        wanted = dict.fromkeys(names or ["Cora"])
        graphs = [load_dataset(name, root, progress=not console.quiet) for name in wanted]
    except DatasetNotFoundError as error:
        if names:
            raise
        console.notice(error)
        console.notice("using the embedded synthetic set 'sbm'")
        graphs = [load_dataset("sbm")]
    return [graph.to(device) for graph in graphs]
