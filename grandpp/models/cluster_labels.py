"""Labels for every node from very few: mixtures over three views, then a linear discriminant."""

from __future__ import annotations

from typing import NamedTuple

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
    growth = ClusterGrowth(views, labelled, label, num_classes)
    return growth.grow(views.weights, rounds=rounds, discriminants=discriminants)


class ClusterGrowth:
    """:func:`grow_clusters` for several weights of the views; what they share is computed once.

    Args:
        views, labelled, label, num_classes: See :func:`grow_clusters`.

    Raises:
        ValueError: If a class has no labelled node.
    """

    def __init__(
        self, views: GraphViews, labelled: Tensor, label: Tensor, num_classes: int
    ) -> None:
        self.views = views
        self._embeddings = (views.features, views.diffused, views.graph)
        self.nodes, known = check_labelled(labelled, label, num_classes)
        self.known = known.to(views.features)
        self.mass = _masses(views.features, self.nodes, num_classes)
        self._scatter: _Scatter | None = None

    def grow(
        self, weights: tuple[float, float, float], *, rounds: int = 3, discriminants: int = 1
    ) -> Clusters:
        """Grow clusters with these weights of features, diffused features and graph."""
        used = [i for i in range(3) if weights[i] > 0]
        member = self.views.features.new_zeros(len(self.mass), self.known.size(1))
        member[self.nodes] = self.known
        if not used:
            return Clusters(member, self.views.trust)
        member, logits = self._mixture(member, {i: weights[i] for i in used}, rounds)
        # What the graph alone knows, the discriminant may use in full.
        graph = _GRAPH_IN_DISCRIMINANT if weights[0] > 0 else 1.0
        shares = {i: (1.0, 1.0, graph)[i] for i in used}
        for _ in range(discriminants):
            logits = self._discriminant(member, shares)
            member = self._members(logits)
        score = torch.softmax(_SURENESS * logits, dim=1)
        return Clusters(score.index_copy(0, self.nodes, self.known), self.views.trust)

    def _members(self, logits: Tensor) -> Tensor:
        member = torch.softmax(logits, dim=1)
        member[self.nodes] = self.known
        return member

    def _mixture(
        self, member: Tensor, weights: dict[int, float], rounds: int
    ) -> tuple[Tensor, Tensor]:
        used = [(self._embeddings[i], weight) for i, weight in weights.items()]
        logits = torch.zeros_like(member)
        for turn in range(rounds):
            first = None if turn else _FIRST_CONCENTRATION
            logits = _mixture(used, member, self.mass * member, first)
            member = self._members(logits)
        return member, logits

    def _discriminant(self, member: Tensor, shares: dict[int, float]) -> Tensor:
        """Scores of linear discriminant analysis with soft memberships, equal priors ``[N, C]``.

        The scatter of all nodes is the same for all memberships, as theirs sum to 1.
        """
        if self._scatter is None:
            self._scatter = _Scatter.of(self.views, self.mass)
        embedding, mean, total = self._scatter.part(self.views, shares)
        member = self.mass * member
        share = member.sum(dim=0) / member.sum()
        centre = (member.t() @ embedding) / member.sum(dim=0).unsqueeze(1) - mean
        within = total - centre.t() @ (share.unsqueeze(1) * centre)
        ridge = _SHRINKAGE * total.trace() / len(total)
        within = within + ridge.clamp(min=1e-12) * torch.eye(len(total)).to(total)
        direction = torch.linalg.solve(within, centre.t())
        return embedding @ direction - mean @ direction - (centre * direction.t()).sum(dim=1) / 2


class _Scatter(NamedTuple):
    """Mean and covariance of the three views side by side, ``[P]`` and ``[P, P]``."""

    mean: Tensor
    total: Tensor

    @classmethod
    def of(cls, views: GraphViews, mass: Tensor) -> _Scatter:
        joined = torch.cat(views[:3], dim=1)
        mean = (mass * joined).sum(dim=0) / mass.sum()
        centred = joined - mean
        return cls(mean, centred.t() @ (mass * centred) / mass.sum())

    def part(self, views: GraphViews, shares: dict[int, float]) -> tuple[Tensor, Tensor, Tensor]:
        """Some of the views, each times the root of its share, with their mean and covariance."""
        sizes = [view.size(1) for view in views[:3]]
        starts = [0, sizes[0], sizes[0] + sizes[1]]
        index = torch.cat([torch.arange(starts[i], starts[i] + sizes[i]) for i in shares])
        index = index.to(self.mean.device)
        root = torch.cat([self.mean.new_full((sizes[i],), shares[i] ** 0.5) for i in shares])
        embedding = torch.cat([views[i] * shares[i] ** 0.5 for i in shares], dim=1)
        total = self.total[index][:, index] * root * root.unsqueeze(1)
        return embedding, self.mean[index] * root, total


def refine_clusters(views: GraphViews, member: Tensor, *, rounds: int = 12) -> Tensor:
    """Refine a clustering of the nodes by all views at once, without labels.

    Expectation-maximisation of the mixtures of :func:`grow_clusters`.

    Args:
        views: See :func:`graph_views`.
        member: Memberships to begin with ``[N, C]``, not negative.
        rounds: Rounds of expectation-maximisation. (default: ``12``)

    Returns:
        Memberships ``[N, C]``, rows of sum 1; those given, where no view is to be trusted.

    Cost: products of sizes [N, p] and [p, C], two per view and round.
    """
    used = _used(views)
    for _ in range(rounds if used else 0):
        member = torch.softmax(_mixture(used, member, member), dim=1)
    return member


def _used(views: GraphViews) -> list[tuple[Tensor, float]]:
    """Views that count, and their weights."""
    return [(v, w) for v, w in zip(views[:3], views.weights, strict=True) if w > 0]


def _mixture(
    used: list[tuple[Tensor, float]],
    member: Tensor,
    counted: Tensor,
    concentration: float | None = None,
) -> Tensor:
    """Logits of the memberships in mixtures whose means are those of the members as counted."""
    logits = torch.zeros_like(member)
    for view, weight in used:
        cosine = view @ _unit_rows(counted.t() @ view).t()
        kappa = concentration or _concentration(cosine, member, view.size(1))
        logits += weight * kappa * cosine
    return logits


def _masses(like: Tensor, nodes: Tensor, num_classes: int) -> Tensor:
    """How much each node counts ``[N, 1]``."""
    mass = like.new_ones(like.size(0), 1)
    mass[nodes] = max(1.0, like.size(0) / (_PRIOR_LABELS * num_classes))
    return mass


def _concentration(cosine: Tensor, member: Tensor, size: int) -> float:
    """Of a von Mises-Fisher distribution in ``size`` dimensions (Banerjee et al., 4.4)."""
    rho = min(max(float((member * cosine).sum() / member.sum()), 1e-6), 0.999)
    return rho * (size - rho**2) / (1 - rho**2)
