"""Which nodes to label next: they cover what the views see, where predictions are uncertain."""

from __future__ import annotations

import math
import operator

import torch
from torch import Tensor

from grandpp.models.base import UNKNOWN
from grandpp.models.features import SparseFeatures
from grandpp.models.views import GraphViews, graph_views

_CANDIDATES = 2000
_SAMPLE = 20_000
_SWEEPS = 10


def suggest_nodes(
    x: Tensor | SparseFeatures,
    edge_index: Tensor,
    edge_weight: Tensor | None,
    number: int,
    *,
    labelled: Tensor | None = None,
    label: Tensor | None = None,
    proba: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    """Choose nodes to label next, from the :func:`graph_views` of the data.

    See :func:`suggest_from_views` for the arguments and the method.
    """
    n = x.size(0) if isinstance(x, Tensor) else x.num_nodes
    _check(n, number, labelled, label, proba)
    views = graph_views(x, edge_index, edge_weight)
    return suggest_from_views(
        views, number, labelled=labelled, label=label, proba=proba, seed=seed
    )
