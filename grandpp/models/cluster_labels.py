"""Labels for every node from very few: mixtures over three views, then a linear discriminant."""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.models.features import SparseFeatures
from grandpp.models.seeded_clusters import Clusters, _unit_rows, check_labelled
from grandpp.models.views import GraphViews, graph_views

# The graph's share in the discriminant, where the features count: what it knows is in the
# memberships already, and the discriminant lets the features correct them.
_GRAPH_IN_DISCRIMINANT = 0.05
_SHRINKAGE = 0.3
_FIRST_CONCENTRATION = 10.0
# Labelled nodes of a class that count as much as all its other nodes together.
_PRIOR_LABELS = 8.0
# The discriminant takes neighbouring nodes for independent and is too sure of itself: with this
# factor the mean probability is near the accuracy at 20 labels per class (six graphs, at most 8
# points apart).
_SURENESS = 0.3


def cluster_labels(
    x: Tensor | SparseFeatures,
    edge_index: Tensor,
    edge_weight: Tensor | None,
    labelled: Tensor,
    label: Tensor,
    num_classes: int,
) -> Clusters:
    """Grow a class and a confidence for every node from the labelled ones; takes no training.

    The :func:`graph_views` of the data, then :func:`grow_clusters`.

    Args:
        x: Features ``[N, F]``.
        edge_index: int64 ``[2, E]``; a directed graph is read as its undirected mean.
        edge_weight: Non-negative ``[E]`` or ``None``.
        labelled: Labelled nodes, int64 ``[I]`` or bool ``[N]``.
        label: Classes ``[N]``, read at the labelled nodes alone; -1 for none known.
        num_classes: Number C of classes.

    Raises:
        ValueError: If a class has no labelled node.
    """
    nodes, _ = check_labelled(labelled, label, num_classes)
    return grow_clusters(graph_views(x, edge_index, edge_weight), nodes, label, num_classes)


def grow_clusters(
    views: GraphViews,
    labelled: Tensor,
    label: Tensor,
    num_classes: int,
    *,
    rounds: int = 3,
    discriminants: int = 1,
) -> Clusters:
    r"""Grow clusters from the labelled nodes in all views at once.

    Expectation-maximisation of von Mises-Fisher mixtures (Banerjee et al., JMLR 2005), one per
    view v with weight w_v, that share their memberships, seeded as in Basu et al. (ICML 2002).
    Concentrations are estimated in every round:

    .. math:: r_{ic} \propto \exp \sum_v w_v \kappa_v \langle e^v_i, m^v_c \rangle, \qquad
        \kappa_v = \frac{\rho_v (p_v - \rho_v^2)}{1 - \rho_v^2}

    with the mean cosine :math:`\rho_v` of nodes with their centres. Then a linear discriminant
    analysis of the features' two views (and a little of the graph's), fitted to the memberships,
    replaces them: it weighs directions by what they tell of the classes. Labelled nodes belong to
    their class throughout, and count as a share I / (I + 8 C) of the means: the more there are,
    the less the other nodes do.

    Args:
        views: See :func:`graph_views`; made once per graph, whatever is labelled.
        labelled: Labelled nodes, int64 ``[I]`` or bool ``[N]``.
        label: Classes ``[N]``, read at the labelled nodes alone; -1 for none known.
        num_classes: Number C of classes.
        rounds: Rounds of expectation-maximisation; more of them leave the labels behind.
            (default: ``3``)
        discriminants: Discriminant analyses after them. (default: ``1``)

    Returns:
        Probabilities as scores; ``trust`` is that of the views.

    Raises:
        ValueError: If a class has no labelled node.

    Cost: a few products of sizes [N, p] and [p, C], and [p, N] and [N, p] per discriminant.
    """
    nodes, known = check_labelled(labelled, label, num_classes)
    known = known.to(views.features)
    mass = _masses(views.features, nodes, num_classes)
    member = views.features.new_zeros(views.features.size(0), num_classes)
    member[nodes] = known
    used = [(v, w) for v, w in zip(views[:3], views.weights, strict=True) if w > 0]
    concentration = [_FIRST_CONCENTRATION] * len(used)
    logits = torch.zeros_like(member)
    for turn in range(rounds):
        logits = torch.zeros_like(member)
        for i, (view, weight) in enumerate(used):
            cosine = view @ _unit_rows((mass * member).t() @ view).t()
            if turn:
                concentration[i] = _concentration(cosine, member, view.size(1))
            logits += weight * concentration[i] * cosine
        member = torch.softmax(logits, dim=1)
        member[nodes] = known
    for _ in range(discriminants if used else 0):
        logits = _discriminant(_joined(views), mass * member)
        member = torch.softmax(logits, dim=1)
        member[nodes] = known
    score = torch.softmax(_SURENESS * logits, dim=1) if used else member
    return Clusters(score.index_copy(0, nodes, known), views.trust)


def _masses(like: Tensor, nodes: Tensor, num_classes: int) -> Tensor:
    """How much each node counts ``[N, 1]``."""
    mass = like.new_ones(like.size(0), 1)
    mass[nodes] = max(1.0, like.size(0) / (_PRIOR_LABELS * num_classes))
    return mass


def _concentration(cosine: Tensor, member: Tensor, size: int) -> float:
    """Of a von Mises-Fisher distribution in ``size`` dimensions (Banerjee et al., 4.4)."""
    rho = min(max(float((member * cosine).sum() / member.sum()), 1e-6), 0.999)
    return rho * (size - rho**2) / (1 - rho**2)


def _joined(views: GraphViews) -> Tensor:
    """The space of the discriminant."""
    shares = (1.0, 1.0, _GRAPH_IN_DISCRIMINANT if views.weights[0] > 0 else 1.0)
    scaled = [v * s**0.5 for v, s, w in zip(views[:3], shares, views.weights, strict=True) if w > 0]
    return torch.cat(scaled, dim=1)


def _discriminant(embedding: Tensor, member: Tensor) -> Tensor:
    """Scores of linear discriminant analysis with soft memberships and equal priors ``[N, C]``."""
    share = member.sum(dim=0) / member.sum()
    centred = embedding - (member.sum(dim=1) @ embedding) / member.sum()
    mean = (member.t() @ centred) / member.sum(dim=0).unsqueeze(1)
    total = centred.t() @ (member.sum(dim=1, keepdim=True) * centred) / member.sum()
    within = total - mean.t() @ (share.unsqueeze(1) * mean)
    ridge = _SHRINKAGE * total.trace() / len(total)
    within = within + ridge.clamp(min=1e-12) * torch.eye(len(total)).to(total)
    direction = torch.linalg.solve(within, mean.t())
    return centred @ direction - (mean * direction.t()).sum(dim=1) / 2
