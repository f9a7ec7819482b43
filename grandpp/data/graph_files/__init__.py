"""Graphs of one's own, read from files."""

from grandpp.data.graph_files.read import read_graph
from grandpp.data.graph_files.structural import structural_features
from grandpp.data.graph_files.summary import GraphSummary, without_labelled_component

__all__ = ["GraphSummary", "read_graph", "structural_features", "without_labelled_component"]
