"""Bags of words with topics: independent words, Zipf frequencies, and a tilt per topic."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from grandpp.data.block_model import FloatArray, IntArray

_ZIPF_EXPONENT, _ZIPF_SHIFT = 1.1, 10.0  # fitted to the word counts of Cora
_ROWS_AT_A_TIME = 1 << 16  # bounds the random numbers held at once beside the features


def word_chances(
    block: IntArray,
    community: IntArray,
    num_features: int,
    words_per_node: float,
    strength: float,
    own: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Probability of every word in every community; rows add up to ``words_per_node``.

    Args:
        block: class of every node, ``[num_nodes]``.
        community: community of every node, ``[num_nodes]``.
        num_features: number of words.
        words_per_node: expected number of words in a node.
        strength: standard deviation of the logarithmic tilt of a topic.
        own: share of that variance that belongs to the community instead of the class.
        rng: source of the tilts.

    Returns:
        Probabilities of shape ``[num_communities, num_features]``.
    """
    shared = rng.standard_normal((int(block.max()) + 1, num_features))
    single = rng.standard_normal((int(community.max()) + 1, num_features))
    parent = np.empty(single.shape[0], dtype=np.int64)
    parent[community] = block
    tilt = strength * (math.sqrt(1.0 - own) * shared[parent] + math.sqrt(own) * single)
    common = (np.arange(num_features) + _ZIPF_SHIFT) ** -_ZIPF_EXPONENT
    weight = common * np.exp(tilt)
    scale = words_per_node / weight.sum(axis=1, keepdims=True)
    for _ in range(100):  # the excess of probabilities above 1 goes to the other words
        total = np.minimum(scale * weight, 1.0).sum(axis=1, keepdims=True)
        scale = scale * words_per_node / total
    return np.minimum(scale * weight, 1.0)


def bag_of_words(
    chance: FloatArray, topic: IntArray, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw at least one word for every node, and normalise rows to sum 1.

    Args:
        chance: probability of every word in every topic, ``[num_topics, num_features]``.
        topic: topic of every node, ``[num_nodes]``.
        rng: source of the draws.

    Returns:
        Features of shape ``[num_nodes, num_features]``.
    """
    num_features = chance.shape[1]
    x = np.empty((topic.size, num_features), dtype=np.float32)
    threshold = chance.astype(np.float32)
    for start in range(0, topic.size, _ROWS_AT_A_TIME):
        rows = topic[start : start + _ROWS_AT_A_TIME]
        drawn = rng.random((rows.size, num_features), dtype=np.float32)
        x[start : start + rows.size] = drawn < threshold[rows]
    empty = np.flatnonzero(~x.any(axis=1))
    x[empty, rng.integers(num_features, size=empty.size)] = 1.0
    x /= x.sum(axis=1, keepdims=True)
    return x
