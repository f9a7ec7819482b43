"""A synthetic data set of any size: a stochastic block model with the statistics of Cora."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np
import torch
from torch_geometric.data import Data

from grandpp.data.block_model import BlockModel, FloatArray, IntArray
from grandpp.data.words import bag_of_words, word_chances

_CORA_CLASS_SIZES = (344, 214, 406, 726, 379, 285, 131)


def sbm(
    num_nodes: int = 2485,
    num_edges: int = 5069,
    num_classes: int = 7,
    num_features: int = 1433,
    *,
    homophily: float = 0.804,
    class_sizes: Sequence[int] | None = None,
    degree_exponent: float = 2.2,
    communities_per_class: int = 8,
    community_share: float = 0.99,
    misplaced_share: float = 0.95,
    words_per_node: float = 18.3,
    topic_strength: float = 1.1,
    community_topics: float = 0.8,
    seed: int = 0,
) -> Data:
    r"""Draw a connected graph with topic features that is about as hard as Cora.

    Source: degree-corrected stochastic block model (Karrer and Newman, 2011,
    https://arxiv.org/abs/1008.3926), with communities nested in classes and an exact size.

    Nodes have Pareto degree propensities :math:`\theta` and belong to a community of a class. A
    random spanning tree, whose nodes each join an earlier node drawn in proportion to
    :math:`\theta` inside the community, the class or outside, makes the graph connected; edges
    drawn by the same rule complete the exact number. Word :math:`w` is present in a node of
    community :math:`g` independently with probability :math:`p_{gw} \propto b_w \exp(z_{gw})`,
    with Zipf frequencies :math:`b_w` and normal :math:`z`, partly shared by the class. Finally a
    few nodes are swapped: their words and label move together to another neighbourhood, which
    limits the accuracy of diffusion, as on Cora. Features are row-normalised like those of the real
    sets.

    Comparison of the defaults with the largest component of Cora (``seed=0``; accuracies: logistic
    regression on the unit rows of :math:`P^k X`, :math:`P = (D + I)^{-1}(A + I)`, mean over five
    "grand" splits; ``tests/data/test_synthetic.py`` computes all of them):

    =================================  ======  ======
                                       sbm     Cora
    =================================  ======  ======
    edges inside a class               0.807   0.804
    largest number of neighbours       74      168
    its standard deviation             4.62    5.41
    nodes with 1 neighbour             0.163   0.142
    nodes with 10 neighbours or more   0.062   0.049
    words per node                     18.4    18.3
    accuracy, 1 label, k = 0           0.296   0.268
    accuracy, 1 label, k = 2           0.409   0.510
    accuracy, 1 label, k = 16          0.507   0.519
    accuracy, 20 labels, k = 0         0.631   0.609
    accuracy, 20 labels, k = 2         0.831   0.813
    accuracy, 20 labels, k = 16        0.858   0.806
    =================================  ======  ======

    Compared with Cora, two products help less at 1 label and sixteen help more at 20 labels, and
    the largest hubs are smaller.

    Args:
        num_nodes: number of nodes. (default: ``2485``)
        num_edges: number of undirected edges, exact. (default: ``5069``)
        num_classes: number of classes. (default: ``7``)
        num_features: number of words. (default: ``1433``)
        homophily: expected share of edges inside a class, in [0, 1]; approximated as closely as
            connectedness and class sizes allow. (default: ``0.804``)
        class_sizes: nodes of every class. (default: Cora's proportions for 7 classes, else equal)
        degree_exponent: exponent of the density of propensities, > 2; ``math.inf`` makes them
            equal. (default: ``2.2``)
        communities_per_class: communities in every class. (default: ``8``)
        community_share: share of the edges inside a class that stay in a community, in [0, 1].
            (default: ``0.99``)
        misplaced_share: share of the edges between classes that is due to swapped nodes instead
            of mixing, in [0, 1]; nothing is swapped where homophily is below chance.
            (default: ``0.95``)
        words_per_node: expected number of words, <= num_features. (default: ``18.3``)
        topic_strength: standard deviation of :math:`z`; 0 makes words useless. (default: ``1.1``)
        community_topics: share of the variance of :math:`z` that belongs to the community instead
            of the class, in [0, 1]. (default: ``0.8``)
        seed: seed of all random numbers. (default: ``0``)

    Returns:
        Data with ``x`` ``[num_nodes, num_features]``, ``edge_index`` ``[2, 2 * num_edges]``, ``y``
        ``[num_nodes]``, ``name="sbm"`` and ``num_classes``.

    Raises:
        ValueError: an argument is out of range; the message says what was expected.

    Note:
        Cost is O(num_edges log num_edges + num_nodes * num_features), with no loop over nodes.

    Example:
        >>> sizes = {"num_nodes": 50, "num_edges": 120, "num_classes": 3, "num_features": 30}
        >>> data = sbm(**sizes, words_per_node=5.0)
        >>> data.x.shape, data.edge_index.shape
        (torch.Size([50, 30]), torch.Size([2, 240]))
    """
    _check_sizes(num_nodes, num_edges, num_classes, num_features)
    _check_count("communities_per_class", communities_per_class, 1, math.inf)
    _check_count("seed", seed, 0, math.inf)
    _check_shares(
        homophily=homophily,
        community_share=community_share,
        misplaced_share=misplaced_share,
        community_topics=community_topics,
    )
    _check_range("words_per_node", words_per_node, 1.0, num_features)
    _check_range("topic_strength", topic_strength, 0.0, 10.0)
    if not degree_exponent > 2.0:
        raise ValueError(f"expected 'degree_exponent' > 2 (got {degree_exponent})")
    sizes = _class_sizes(num_nodes, num_classes, class_sizes)
    rng = np.random.default_rng(seed)
    swapped, inner = _swaps(homophily, misplaced_share, sizes)
    block = np.repeat(np.arange(num_classes), sizes)
    community = _communities(sizes, communities_per_class)
    propensity = _propensities(num_nodes, degree_exponent, rng)
    model = BlockModel(propensity, block, community, inner, community_share)
    number = rng.permutation(num_nodes)
    pairs = number[model.edges(num_edges, rng)]

    moved = number[_spread(propensity, round(swapped * num_nodes), rng)]
    label, topic = (_placed(value, number, moved) for value in (block, community))
    chance = word_chances(
        block, community, num_features, words_per_node, topic_strength, community_topics, rng
    )
    x = bag_of_words(chance, topic, rng)
    data = Data(x=torch.from_numpy(x), edge_index=_both_ways(pairs), y=torch.from_numpy(label))
    data.name, data.num_classes = "sbm", num_classes
    return data


def _swaps(homophily: float, misplaced_share: float, sizes: IntArray) -> tuple[float, float]:
    """Share of nodes to swap, and the homophily before the swap that gives the desired one.

    An edge with a swapped end joins equal labels with the probability c of chance. If q is the
    share of edges without a swapped end, homophily = q inner + (1 - q) c.
    """
    chance = float(((sizes / sizes.sum()) ** 2).sum())
    if homophily <= chance:
        return 0.0, homophily
    untouched = 1.0 - misplaced_share * (1.0 - homophily) / (1.0 - chance)
    if untouched <= 0.0:
        return 0.0, homophily
    inner = (homophily - (1.0 - untouched) * chance) / untouched
    return 1.0 - math.sqrt(untouched), min(max(inner, 0.0), 1.0)


def _spread(propensity: FloatArray, count: int, rng: np.random.Generator) -> IntArray:
    """Nodes at equal distances in the order of propensity: hubs are not over-represented."""
    place = (np.arange(count) + 0.5) * (propensity.size / max(count, 1))
    return rng.permutation(np.argsort(propensity)[place.astype(np.int64)])


def _placed(value: IntArray, number: IntArray, moved: IntArray) -> IntArray:
    """Assign values to node numbers, and permute those of ``moved`` cyclically."""
    placed = np.empty_like(value)
    placed[number] = value
    placed[moved] = placed[np.roll(moved, 1)]
    return placed


def _class_sizes(num_nodes: int, num_classes: int, given: Sequence[int] | None) -> IntArray:
    """Class sizes that add up to ``num_nodes``: as given, or in proportion, at least 1 each."""
    if given is not None:
        sizes = np.asarray(given)
        whole = sizes.ndim == 1 and np.issubdtype(sizes.dtype, np.integer)
        if not (whole and sizes.size == num_classes and sizes.sum() == num_nodes):
            raise ValueError(
                f"expected 'class_sizes' to be {num_classes} integers that add up to {num_nodes} "
                f"(got {list(given)})"
            )
        if sizes.min() < 1:
            raise ValueError(f"expected 'class_sizes' of at least 1 (got {list(given)})")
        return sizes.astype(np.int64)
    like_cora = num_classes == len(_CORA_CLASS_SIZES)
    share = np.array(_CORA_CLASS_SIZES if like_cora else [1] * num_classes, dtype=np.float64)
    exact = share / share.sum() * num_nodes
    sizes = np.maximum(np.floor(exact).astype(np.int64), 1)
    order = np.argsort(sizes - exact, kind="stable")
    missing = num_nodes - int(sizes.sum())
    if missing >= 0:
        sizes[order[:missing]] += 1
        return sizes
    for _ in range(-missing):
        sizes[np.argmax(sizes)] -= 1
    return sizes


def _communities(sizes: IntArray, per_class: int) -> IntArray:
    """Cut every class into equal contiguous communities, at most as many as it has nodes."""
    count = np.minimum(per_class, sizes)
    offset = np.cumsum(count) - count
    place = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(offset, sizes) + place * np.repeat(count, sizes) // np.repeat(sizes, sizes)


def _propensities(num_nodes: int, exponent: float, rng: np.random.Generator) -> FloatArray:
    """Quantiles of a Pareto distribution in random order: equal for all seeds but for the order."""
    quantile = (rng.permutation(num_nodes) + 0.5) / num_nodes
    return quantile ** (-1.0 / (exponent - 1.0))


def _both_ways(pairs: IntArray) -> torch.Tensor:
    """Directed edges of both orientations, sorted by source and then target."""
    source = np.concatenate([pairs[0], pairs[1]])
    target = np.concatenate([pairs[1], pairs[0]])
    order = np.lexsort((target, source))
    return torch.from_numpy(np.stack([source[order], target[order]]))


def _check_sizes(num_nodes: int, num_edges: int, num_classes: int, num_features: int) -> None:
    _check_count("num_nodes", num_nodes, 1, math.inf)
    _check_count("num_classes", num_classes, 1, num_nodes)
    _check_count("num_features", num_features, 1, math.inf)
    _check_count("num_edges", num_edges, num_nodes - 1, num_nodes * (num_nodes - 1) // 2)


def _check_count(name: str, value: int, low: int, high: float) -> None:
    try:
        inside = low <= operator.index(value) <= high
    except TypeError:
        inside = False
    if not inside:
        upper = f">= {low}" if high == math.inf else f"in {low} .. {high}"
        raise ValueError(f"expected {name!r} to be an integer {upper} (got {value!r})")


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        _check_range(name, share, 0.0, 1.0)


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"expected {name!r} in [{low:g}, {high:g}] (got {value!r})")
