"""Graphs, images and time series by name and from files; low-label splits and rewiring."""

from grandpp.data.checks import check_data
from grandpp.data.diffusion_rewiring import DiffusionRewiring
from grandpp.data.errors import (
    DatasetError,
    DatasetIntegrityError,
    DatasetNotFoundError,
    GraphFileError,
)
from grandpp.data.graph_files import (
    GraphSummary,
    read_graph,
    without_labelled_component,
)
from grandpp.data.graphs import DATASETS, load_dataset
from grandpp.data.images import IMAGE_DATASETS, ImageSplit, load_images
from grandpp.data.oscillators import DampedOscillators
from grandpp.data.rewiring import REWIRINGS, TwoHopRewiring, rewire
from grandpp.data.sequences import SEQUENCES, PlaneVibration, Walker2D, load_sequences
from grandpp.data.silverbox import Silverbox, load_silverbox
from grandpp.data.splits import (
    PROTOCOLS,
    UNVALIDATED,
    count_validation_nodes,
    low_label_split,
    low_label_splits,
    split_digest,
    split_notice,
)
from grandpp.data.statistics import GraphStatistics, graph_statistics
from grandpp.data.synthetic import sbm
from grandpp.data.windows import SequenceData, Windows

__all__ = [
    "DATASETS",
    "IMAGE_DATASETS",
    "PROTOCOLS",
    "REWIRINGS",
    "SEQUENCES",
    "UNVALIDATED",
    "DampedOscillators",
    "DatasetError",
    "DatasetIntegrityError",
    "DatasetNotFoundError",
    "DiffusionRewiring",
    "GraphFileError",
    "GraphStatistics",
    "GraphSummary",
    "ImageSplit",
    "PlaneVibration",
    "SequenceData",
    "Silverbox",
    "TwoHopRewiring",
    "Walker2D",
    "Windows",
    "check_data",
    "count_validation_nodes",
    "graph_statistics",
    "load_dataset",
    "load_images",
    "load_sequences",
    "load_silverbox",
    "low_label_split",
    "low_label_splits",
    "read_graph",
    "rewire",
    "sbm",
    "split_digest",
    "split_notice",
    "without_labelled_component",
]
