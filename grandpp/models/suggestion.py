"""Which nodes to label next: they cover what the views see, where predictions are uncertain."""

from __future__ import annotations

import operator

import torch
from torch import Tensor

from grandpp.models.base import UNKNOWN
from grandpp.models.features import SparseFeatures
from grandpp.models.label_models import num_nodes
from grandpp.models.views import GraphViews, graph_views

_CANDIDATES = 2000
_COVERED = 20_000
_SHARPNESS = 2.0


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
    """Choose nodes to label next: :func:`suggest_from_views` on the :func:`graph_views`.

    Args:
        x: Features ``[N, F]``.
        edge_index: int64 ``[2, E]``; a directed graph is read as its undirected mean.
        edge_weight: Non-negative ``[E]`` or ``None``.
        number: How many.
        labelled: See :func:`suggest_from_views`, as the following. (default: ``None``)
        label: (default: ``None``)
        proba: (default: ``None``)
        seed: (default: ``0``)

    Returns:
        int64 ``[number]``, the most useful first.

    Raises:
        ValueError: As :func:`suggest_from_views`.

    Cost: that of :func:`graph_views` and of :func:`suggest_from_views`.
    """
    free = _unlabelled(num_nodes(x), labelled, label)
    _check(number, free, proba)
    views = graph_views(x, edge_index, edge_weight)
    return suggest_from_views(views, number, labelled=labelled, label=label, proba=proba, seed=seed)


def suggest_from_views(
    views: GraphViews,
    number: int,
    *,
    labelled: Tensor | None = None,
    label: Tensor | None = None,
    proba: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    r"""Choose nodes that represent the others best: greedy facility location.

    .. math:: f(S) = \sum_i u_i \max_{j \in S} \max(0, \langle e_i, e_j \rangle)^2

    over sets S that contain the labelled nodes, with the unit rows e of
    :meth:`GraphViews.embedding` and, where probabilities are given, the uncertainty
    :math:`u_i = 1 - p_{i(1)} + p_{i(2)}` by the margin between the two most probable classes (1
    without). Each next node is the one that adds most, so the first k of n suggestions are those
    that would be made for k, and f is at least 1 - 1/e of the best possible (Nemhauser et al.,
    1978). Classes and their number are not needed.

    Args:
        views: See :func:`graph_views`.
        number: How many.
        labelled: Labelled nodes, int64 ``[I]`` or bool ``[N]``. (default: ``None``, none)
        label: Classes ``[N]``; labelled nodes with -1, for none known, do not count as labelled.
            (default: ``None``, all labelled nodes count)
        proba: Predicted probabilities ``[N, C]``. (default: ``None``)
        seed: Of the nodes that are considered where there are many. (default: ``0``)

    Returns:
        int64 ``[number]`` on the device of the views, the most useful first.

    Raises:
        ValueError: If ``number`` is no positive integer or exceeds the nodes without label, or
            ``proba`` does not have one row per node.

    Cost: cosines of a sample of 20,000 nodes with 2,000 candidates, and one pass over them per
    suggestion; smaller graphs are taken whole. More than 1,000 suggestions double the candidates
    with their number.
    """
    embedding = views.embedding()
    n = embedding.size(0)
    free = _unlabelled(n, labelled, label)
    number = _check(number, free, proba)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator).to(embedding.device)
    covered = order[:_COVERED]
    available = order[free.to(order.device)[order]]
    candidates = available[: max(_CANDIDATES, 2 * number)]
    need = _uncertainty(proba, n).to(embedding)[covered]
    rows = embedding[covered]
    given = (~free).to(order.device).nonzero().view(-1)
    best = _likeness(rows, embedding[given]).amax(dim=1) if len(given) else torch.zeros_like(need)
    likeness = _likeness(rows, embedding[candidates])
    chosen: list[int] = []
    for _ in range(number):
        gain = need @ (likeness - best.unsqueeze(1)).clamp_(min=0)
        gain[chosen] = -1.0
        chosen.append(int(gain.argmax()))
        best = torch.maximum(best, likeness[:, chosen[-1]])
    return candidates[chosen]


def _likeness(rows: Tensor, columns: Tensor) -> Tensor:
    return (rows.float() @ columns.float().t()).clamp_(min=0).pow_(_SHARPNESS).to(rows)


def _uncertainty(proba: Tensor | None, num_nodes: int) -> Tensor:
    if proba is None:
        return torch.ones(num_nodes)
    best = proba.detach().topk(min(2, proba.size(1)), dim=1).values
    margin = best[:, 0] - best[:, 1] if best.size(1) == 2 else best[:, 0]
    return (1 - margin).clamp(min=1e-6)  # where all is certain, coverage still decides


def _unlabelled(num_nodes: int, labelled: Tensor | None, label: Tensor | None) -> Tensor:
    """Nodes without a known label, bool ``[N]``."""
    free = torch.ones(num_nodes, dtype=torch.bool)
    if labelled is not None:
        nodes = labelled.nonzero().view(-1) if labelled.dtype == torch.bool else labelled
        if label is not None:
            nodes = nodes[label[nodes] != UNKNOWN]
        free[nodes.cpu()] = False
    return free


def _check(number: int, free: Tensor, proba: Tensor | None) -> int:
    try:
        wanted = operator.index(number)
    except TypeError:
        wanted = 0
    left = int(free.sum())
    if isinstance(number, bool) or not 1 <= wanted <= left:
        raise ValueError(
            "expected 'number' to be an integer from 1 to the number of nodes without label, "
            f"{left} (got {number!r})"
        )
    if proba is not None and (proba.dim() != 2 or proba.size(0) != free.numel()):
        raise ValueError(f"expected 'proba' of shape [{free.numel()}, C] (got {list(proba.shape)})")
    return wanted
