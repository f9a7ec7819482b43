"""Graphs and images by name, the embedded synthetic set, low-label splits, and rewiring."""

from grandpp.data.checks import check_data
from grandpp.data.diffusion_rewiring import DiffusionRewiring
from grandpp.data.errors import DatasetError, DatasetIntegrityError, DatasetNotFoundError
from grandpp.data.graphs import DATASETS, load_dataset
from grandpp.data.images import IMAGE_DATASETS, ImageSplit, load_images
from grandpp.data.rewiring import REWIRINGS, TwoHopRewiring, rewire
from grandpp.data.silverbox import Silverbox, load_silverbox
from grandpp.data.splits import PROTOCOLS, low_label_split, low_label_splits, split_digest
from grandpp.data.statistics import GraphStatistics, graph_statistics
from grandpp.data.synthetic import sbm

__all__ = [
    "DATASETS",
    "IMAGE_DATASETS",
    "PROTOCOLS",
    "REWIRINGS",
    "DatasetError",
    "DatasetIntegrityError",
    "DatasetNotFoundError",
    "DiffusionRewiring",
    "GraphStatistics",
    "ImageSplit",
    "Silverbox",
    "TwoHopRewiring",
    "check_data",
    "graph_statistics",
    "load_dataset",
    "load_images",
    "load_silverbox",
    "low_label_split",
    "low_label_splits",
    "rewire",
    "sbm",
    "split_digest",
]
