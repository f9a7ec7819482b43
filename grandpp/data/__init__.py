"""Graphs by name, the embedded synthetic set, and low-label splits."""

from grandpp.data.checks import check_data
from grandpp.data.errors import DatasetError, DatasetIntegrityError, DatasetNotFoundError
from grandpp.data.graphs import DATASETS, load_dataset
from grandpp.data.silverbox import Silverbox, load_silverbox
from grandpp.data.splits import PROTOCOLS, low_label_split, low_label_splits, split_digest
from grandpp.data.statistics import GraphStatistics, graph_statistics
from grandpp.data.synthetic import sbm

__all__ = [
    "DATASETS",
    "PROTOCOLS",
    "DatasetError",
    "DatasetIntegrityError",
    "DatasetNotFoundError",
    "GraphStatistics",
    "Silverbox",
    "check_data",
    "graph_statistics",
    "load_dataset",
    "load_silverbox",
    "low_label_split",
    "low_label_splits",
    "sbm",
    "split_digest",
]
