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
from grandpp.models.seeded_clusters import Clusters, diffused_components, seeded_clusters

__all__ = [
    "Clusters",
    "DiffusionClassifier",
    "FeatureBaseline",
    "FeatureEncoder",
    "GraphBaseline",
    "NodeClassifier",
    "Output",
    "SparseFeatures",
    "diffused_components",
    "gat",
    "gcn",
    "mlp",
    "seeded_clusters",
    "sparse_if_sparse",
    "to_dense",
]
