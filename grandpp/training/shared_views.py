"""Views of a graph, made once for all runs on it."""

from __future__ import annotations

import copy

from torch.utils.weak import WeakIdKeyDictionary
from torch_geometric.data import Data

from grandpp.models import GraphViews, graph_views
from grandpp.training.settings import Run
from grandpp.training.targets import WITH_PROBABILITIES

# One per graph: they do not depend on labels, splits or seeds.
_views: WeakIdKeyDictionary = WeakIdKeyDictionary()


def views_of(data: Data) -> GraphViews:
    """The :func:`grandpp.models.graph_views` of a graph, the same object for the same graph."""
    made_of = (data.x, data.edge_index, data.get("edge_weight"))
    before, views = _views.get(data, (made_of, None))
    # Other tensors may have been put into the same object.
    if views is None or any(a is not b for a, b in zip(before, made_of, strict=True)):
        views = graph_views(*made_of)
        _views[data] = (made_of, views)
    found: GraphViews = views
    return found


def with_views(run: Run, split: Data, data: Data) -> Data:
    """The split of a graph with the views of the graph, if the run's clusters grow in them.

    Args:
        run: The run.
        split: The graph with masks; not changed.
        data: The graph. Runs that change its edges make views of their own.
    """
    settings = run.settings
    in_views = settings.clusters in WITH_PROBABILITIES
    if not in_views or settings.rewiring is not None or "views" in split:
        return split
    split = copy.copy(split)
    split.views = views_of(data)
    return split
