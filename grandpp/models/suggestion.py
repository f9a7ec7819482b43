"""Which nodes to label next: centres of clusters, later where predictions are uncertain."""

from __future__ import annotations

import operator

import torch
import torch.nn.functional as F
from torch import Tensor

from grandpp.models.base import UNKNOWN
from grandpp.models.cluster_labels import grow_clusters, refine_clusters
from grandpp.models.features import SparseFeatures
from grandpp.models.label_models import num_nodes
from grandpp.models.views import GraphViews, graph_views

_SAMPLE = 20_000
_RESTARTS = 10
_ROUNDS = 10
_MIXTURE_RESTARTS = 20
_MOST_CLUSTERS = 50  # suggestions, for which clusters are sought; more of them only cover


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

    Example:
        >>> from grandpp.data import load_dataset
        >>> data = load_dataset("KarateClub")
        >>> suggest_nodes(data.x, data.edge_index, None, 4).shape
        torch.Size([4])
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
    r"""Choose nodes to label next: those that stand for the groups that the views see.

    Without labels, and for up to 50 nodes, they are the most central nodes of k clusters, k the
    number of suggestions: spherical k-means++, then :func:`refine_clusters`, from 20 starts, of
    which the one with the largest product of two criteria counts,

    .. math:: \Bigl[ H\Bigl(\tfrac1N \sum_i p_i\Bigr) - \tfrac1N \sum_i H(p_i) \Bigr] \cdot
        \tfrac1N \sum_i \max_j \langle e_i, m_j \rangle.

    The first is the mutual information of nodes and clusters (Bridle et al., NeurIPS 1991) for
    the probabilities p that :func:`grow_clusters` makes of the chosen nodes, each taken for a
    class of its own: large where clusters are clear and alike in size. The second is the mean
    cosine of the unit rows e of :meth:`GraphViews.embedding` with the nearest centre m, the
    objective of spherical k-means.

    With labels or probabilities, or for more nodes, they are nearest to the centres of weighted
    spherical k-means,

    .. math:: \max_{m_1 \dots m_k} \sum_i u_i \max_j \langle e_i, m_j \rangle, \qquad
        u_i = (1 - p_{i(1)} + p_{i(2)}) \, (1 - \max_{l} \langle e_i, e_l \rangle)

    with the labelled nodes l and the margin between the two most probable classes; the first
    factor is 1 without probabilities and the second without labels. So the suggestions cover what
    labels do not cover yet and where predictions are uncertain.

    Classes and their number are not needed. The suggestions for k are made together, the most
    representative first; they are not the first k of those for more.

    The objective of k-means alone can hide a class behind a large group that it splits (of Photo,
    for one), and the information alone prefers clusters that are clear but not central. The product
    was chosen with the classes of six graphs at hand.

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

    Cost: 360 rounds of clustering, each as much as one or two of k-means, and 20 linear
        discriminants on all nodes or a sample of 20,000 (smaller ones lose classes). With labels
        or for more than 50 nodes 100 rounds of k-means on all nodes or a sample of 20,000 (of
        twice the number, if that is more).
    """
    embedding = views.embedding().float()
    n = embedding.size(0)
    free = _unlabelled(n, labelled, label)
    number = _check(number, free, proba)
    generator = torch.Generator().manual_seed(seed)
    # Where nothing tells nodes apart, the order decides: a random one.
    order = torch.randperm(n, generator=generator)
    available = order[free[order]].to(embedding.device)
    given = (~free).nonzero().view(-1).to(embedding.device)
    if proba is None and not len(given) and 1 < number <= _MOST_CLUSTERS and any(views.weights):
        few = available[:_SAMPLE]
        first, second, third = (view[few].float() for view in views[:3])
        sample = views._replace(features=first, diffused=second, graph=third)
        centres = _most_informative(sample, number, generator)
        rows = embedding[available]
        return available[_representatives(rows, rows.new_ones(n), centres)]
    available = available[: max(_SAMPLE, 2 * number)]
    rows = embedding[available]
    need = _uncertainty(proba, n).to(embedding)[available]
    if len(given):
        need = need * (1 - (rows @ embedding[given].t()).amax(dim=1)).clamp(min=1e-6)
    runs = [_k_means(rows, need, number, generator) for _ in range(_RESTARTS)]
    centres = max(runs, key=lambda run: run[1])[0]
    return available[_representatives(rows, need, centres)]


def _most_informative(views: GraphViews, number: int, generator: torch.Generator) -> Tensor:
    """Centres of the best of several clusterings ``[number, p]``, see above."""
    rows = views.embedding()
    same = rows.new_ones(len(rows))
    best, chosen = -torch.inf, rows[:number]
    for _ in range(_MIXTURE_RESTARTS):
        centres, _ = _k_means(rows, same, number, generator, rounds=3)
        nearest = (rows @ centres.t()).argmax(dim=1)
        member = refine_clusters(views, F.one_hot(nearest, number).to(rows))
        centres = F.normalize(member.t() @ rows)
        nodes = _representatives(rows, same, centres)
        label = torch.full_like(nearest, UNKNOWN)
        label[nodes] = torch.arange(number, device=nodes.device)
        grown = grow_clusters(views, nodes, label, number)
        found = _information(grown.score) * float((rows @ centres.t()).amax(dim=1).mean())
        if found > best:
            best, chosen = found, centres
    return chosen


def _information(score: Tensor) -> float:
    """Mutual information of rows and columns for conditional probabilities ``[N, C]``."""
    entropy = torch.special.entr(score.double())
    overall = torch.special.entr(score.double().mean(dim=0)).sum()
    return float(overall - entropy.sum(dim=1).mean())


def _k_means(
    rows: Tensor, need: Tensor, number: int, generator: torch.Generator, rounds: int = _ROUNDS
) -> tuple[Tensor, float]:
    """Centres ``[number, p]`` of spherical k-means from k-means++, and the objective."""
    distance = torch.ones_like(need)
    chosen: list[int] = []
    for _ in range(number):
        # Drawn on the CPU, so that all devices suggest the same.
        chance = (need * distance.clamp(min=1e-9)).double().cumsum(dim=0).cpu()
        point = torch.rand(1, generator=generator, dtype=torch.float64) * chance[-1]
        chosen.append(min(int(torch.searchsorted(chance, point)), len(need) - 1))
        distance = torch.minimum(distance, 1 - rows @ rows[chosen[-1]])
    centres = rows[chosen]
    for _ in range(rounds):
        nearest = (rows @ centres.t()).argmax(dim=1)
        total = torch.zeros_like(centres).index_add_(0, nearest, need.unsqueeze(1) * rows)
        size = total.norm(dim=1, keepdim=True)
        centres = torch.where(size > 0, total / size.clamp(min=1e-30), centres)
    return centres, float(need @ (rows @ centres.t()).amax(dim=1))


def _representatives(rows: Tensor, need: Tensor, centres: Tensor) -> Tensor:
    """A different row for each centre ``[number]``, those of the largest groups first."""
    nearest = (rows @ centres.t()).argmax(dim=1)
    size = torch.zeros(len(centres), device=rows.device).index_add_(0, nearest, need)
    taken = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    chosen = []
    for centre in centres[size.argsort(descending=True, stable=True)]:
        best = (rows @ centre).masked_fill(taken, -torch.inf).argmax()
        taken[best] = True
        chosen.append(best)
    return torch.stack(chosen)


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
    if not left:
        raise ValueError("expected nodes without a label to choose from (got none)")
    if isinstance(number, bool) or not 1 <= wanted <= left:
        raise ValueError(
            "expected an integer from 1 to the number of nodes without a label, "
            f"{left} (got {number!r})"
        )
    if proba is not None and (proba.dim() != 2 or proba.size(0) != free.numel()):
        raise ValueError(f"expected 'proba' of shape [{free.numel()}, C] (got {list(proba.shape)})")
    return wanted
