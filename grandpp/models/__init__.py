"""Node classifiers with one interface: diffusion models and baselines."""

from grandpp.models.base import NodeModel, Output, PlainClassifier
from grandpp.models.baselines import (
    FeatureBaseline,
    GraphBaseline,
    gat,
    gcn,
    mlp,
    sage,
)
from grandpp.models.batched_classifiers import Member, can_classify_batched, classify_batched
from grandpp.models.class_shares import adjust_to_shares, share_correction, training_shares
from grandpp.models.cluster_choice import choose_clusters
from grandpp.models.cluster_classifier import ClusterClassifier, ViewClusterClassifier
from grandpp.models.cluster_labels import cluster_labels, grow_clusters
from grandpp.models.cluster_pool import pool_with_clusters
from grandpp.models.diffusion import DiffusionClassifier
from grandpp.models.encoder import FeatureEncoder
from grandpp.models.features import SparseFeatures, sparse_if_sparse, to_dense
from grandpp.models.harmonic import LaplaceLearning, PoissonLearning
from grandpp.models.label_models import CorrectedClassifier, LabelClassifier, LabelSpreading
from grandpp.models.lanczos_net import AdaLanczosNet, LanczosNet
from grandpp.models.monet import MoNet
from grandpp.models.node_dropout import NodeDropout, drop_by_node
from grandpp.models.propagation import GCNII, PredictThenPropagate, SimplifiedGCN
from grandpp.models.seeded_clusters import Clusters, diffused_components, seeded_clusters
from grandpp.models.suggestion import suggest_from_views, suggest_nodes
from grandpp.models.views import GraphViews, graph_views

__all__ = [
    "GCNII",
    "AdaLanczosNet",
    "ClusterClassifier",
    "Clusters",
    "CorrectedClassifier",
    "DiffusionClassifier",
    "FeatureBaseline",
    "FeatureEncoder",
    "GraphBaseline",
    "GraphViews",
    "LabelClassifier",
    "LabelSpreading",
    "LanczosNet",
    "LaplaceLearning",
    "Member",
    "MoNet",
    "NodeDropout",
    "NodeModel",
    "Output",
    "PlainClassifier",
    "PoissonLearning",
    "PredictThenPropagate",
    "SimplifiedGCN",
    "SparseFeatures",
    "ViewClusterClassifier",
    "adjust_to_shares",
    "can_classify_batched",
    "choose_clusters",
    "classify_batched",
    "cluster_labels",
    "diffused_components",
    "drop_by_node",
    "gat",
    "gcn",
    "graph_views",
    "grow_clusters",
    "mlp",
    "pool_with_clusters",
    "sage",
    "seeded_clusters",
    "share_correction",
    "sparse_if_sparse",
    "suggest_from_views",
    "suggest_nodes",
    "to_dense",
    "training_shares",
]
