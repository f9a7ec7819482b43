"""Node classifiers: encoder, layer, decoder, and the baselines, behind one interface."""

from grandpp.models.base import (
    NodeClassifier,
    Output,
    SparseFeatures,
    sparse_if_sparse,
    to_dense,
)
from grandpp.models.baselines import FeatureBaseline, GraphBaseline, gat, gcn, mlp
from grandpp.models.diffusion import DiffusionClassifier, FeatureEncoder

__all__ = [
    "DiffusionClassifier",
    "FeatureBaseline",
    "FeatureEncoder",
    "GraphBaseline",
    "NodeClassifier",
    "Output",
    "SparseFeatures",
    "gat",
    "gcn",
    "mlp",
    "sparse_if_sparse",
    "to_dense",
]
