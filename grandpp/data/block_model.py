"""Edges of a connected, nested, degree-corrected stochastic block model with an exact size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

_WORTHWHILE = 0.05  # share of new pairs below which rejection sampling is given up


@dataclass(frozen=True)
class BlockModel:
    """The mixing rule of a nested degree-corrected block model (Karrer and Newman, 2011).

    Nodes are numbered so that classes, and communities inside a class, are contiguous.

    Args:
        propensity: degree propensity of every node, shape ``[num_nodes]``, positive.
        label: class of every node, shape ``[num_nodes]``, ascending.
        community: community of every node over the whole graph, ``[num_nodes]``, ascending.
        homophily: wanted share of edges inside a class.
        community_share: wanted share of the edges inside a class that stay in one community.
    """

    propensity: FloatArray
    label: IntArray
    community: IntArray
    homophily: float
    community_share: float

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return self.label.size

    def edges(self, num_edges: int, rng: np.random.Generator) -> IntArray:
        """Draw exactly ``num_edges`` different undirected edges that connect all nodes.

        A random spanning tree is drawn first: in random order, each node joins an earlier one drawn
        by the block model. Further edges are added up to the number; their share inside classes
        compensates for that of the tree.

        Returns:
            Node pairs with the smaller number first, shape ``[2, num_edges]``.
        """
        n, label = self.num_nodes, self.label
        tree = self._spanning_tree(rng)
        keys = np.sort(tree.min(0) * n + tree.max(0))
        inside = int((label[tree[0]] == label[tree[1]]).sum())
        sizes = np.bincount(label).astype(np.int64)
        room_inside = int((sizes * (sizes - 1) // 2).sum()) - inside
        room_outside = n * (n - 1) // 2 - room_inside - keys.size
        missing = num_edges - keys.size
        wanted = round(self.homophily * num_edges) - inside
        wanted = min(max(wanted, 0, missing - room_outside), missing, room_inside)
        keys = self._fill(keys, wanted, room_inside, True, rng)
        keys = self._fill(keys, missing - wanted, room_outside, False, rng)
        return np.stack([keys // n, keys % n])

    def _spanning_tree(self, rng: np.random.Generator) -> IntArray:
        """Join every node but the first to an earlier one; shape ``[2, num_nodes - 1]``."""
        n = self.num_nodes
        order = rng.permutation(n)
        arrival = np.empty(n, dtype=np.int64)
        arrival[order] = np.arange(n)
        same = rng.random(n) < self.homophily
        near = same & (rng.random(n) < self.community_share)
        in_community = _earlier_inside(self.propensity, self.community, arrival, rng)
        in_class = _earlier_inside(self.propensity, self.label, arrival, rng)
        elsewhere = _earlier_outside(self.propensity, self.label, order, rng)
        parent = np.select(
            [near & (in_community >= 0), same & (in_class >= 0), elsewhere >= 0],
            [in_community, in_class, elsewhere],
            default=in_class,
        )
        child = order[1:]
        return np.stack([child, parent[child]])

    def _fill(
        self, keys: IntArray, count: int, room: int, inside: bool, rng: np.random.Generator
    ) -> IntArray:
        """Add ``count`` new pairs, inside classes or between them, to the sorted ``keys``."""
        model = self
        while count > 0:
            if count > room // 4:
                return model._fill_by_list(keys, count, inside, rng)
            drawn = model._draw_pairs(count + count // 4 + 16, inside, rng)
            fresh = _first_new(drawn, keys)[:count]
            keys = np.sort(np.concatenate([keys, fresh]), kind="stable")
            count, room = count - fresh.size, room - fresh.size
            if fresh.size < _WORTHWHILE * drawn.size and count > 0:
                if not (inside and model.community_share):
                    return model._fill_by_list(keys, count, inside, rng)
                # The communities are full: draw the rest anywhere in the class.
                model = replace(model, community_share=0.0)
        return keys

    def _draw_pairs(self, count: int, inside: bool, rng: np.random.Generator) -> IntArray:
        """Draw pair keys with both ends proportional to propensity; repeats and loops occur."""
        n = self.num_nodes
        mass = np.concatenate([[0.0], np.cumsum(self.propensity)])
        first = _locate(mass, rng.random(count) * mass[-1])
        low, high = _block_bounds(self.label, first)
        if inside:
            near = rng.random(count) < self.community_share
            inner_low, inner_high = _block_bounds(self.community, first)
            low, high = np.where(near, inner_low, low), np.where(near, inner_high, high)
            second = _locate(mass, mass[low] + rng.random(count) * (mass[high] - mass[low]))
            second = np.clip(second, low, high - 1)
        else:
            own = mass[high] - mass[low]
            target = rng.random(count) * (mass[-1] - own)
            second = _locate(mass, np.where(target < mass[low], target, target + own))
        valid = (first != second) & ((self.label[first] == self.label[second]) == inside)
        first, second = first[valid], second[valid]
        return np.minimum(first, second) * n + np.maximum(first, second)

    def _fill_by_list(
        self, keys: IntArray, count: int, inside: bool, rng: np.random.Generator
    ) -> IntArray:
        """Choose ``count`` of all free pairs without replacement, by product of propensities.

        The pairs with the smallest of independent exponential waiting times with these rates are
        such a sample. For dense graphs this takes one pass, where rejection sampling would reject
        nearly every pair.
        """
        n = self.num_nodes
        pairs = _all_pairs(np.bincount(self.label), inside)
        free = np.setdiff1d(pairs[0] * n + pairs[1], keys, assume_unique=True)
        rate = self.propensity[free // n] * self.propensity[free % n]
        waiting = rng.exponential(size=free.size) / rate
        chosen = free[np.argsort(waiting, kind="stable")[:count]]
        return np.sort(np.concatenate([keys, chosen]))


def _locate(mass: FloatArray, target: FloatArray) -> IntArray:
    """Index ``i`` with ``mass[i] <= target < mass[i + 1]``, safe against rounding at the end."""
    return np.clip(np.searchsorted(mass, target, side="right") - 1, 0, mass.size - 2)


def _block_bounds(block: IntArray, node: IntArray) -> tuple[IntArray, IntArray]:
    """First node of each node's contiguous block, and one past its last."""
    end = np.cumsum(np.bincount(block))
    start = np.concatenate([[0], end[:-1]])
    return start[block[node]], end[block[node]]


def _first_new(drawn: IntArray, keys: IntArray) -> IntArray:
    """Keep the first occurrence of every drawn key that is not among the sorted ``keys``."""
    unique, index = np.unique(drawn, return_index=True)
    place = np.minimum(np.searchsorted(keys, unique), max(keys.size - 1, 0))
    known = keys[place] == unique if keys.size else np.zeros(unique.size, dtype=bool)
    return drawn[np.sort(index[~known])]


def _earlier_inside(
    propensity: FloatArray, block: IntArray, arrival: IntArray, rng: np.random.Generator
) -> IntArray:
    """Draw for every node an earlier one of its block, by propensity; -1 if there is none."""
    slot = np.lexsort((arrival, block))
    mass = np.concatenate([[0.0], np.cumsum(propensity[slot])])
    low, _ = _block_bounds(block, slot)
    own = np.arange(slot.size)
    found = _locate(mass, mass[low] + rng.random(slot.size) * (mass[own] - mass[low]))
    found = np.clip(found, low, np.maximum(own - 1, low))
    earlier = np.empty(slot.size, dtype=np.int64)
    earlier[slot] = np.where(own > low, slot[found], -1)
    return earlier


def _earlier_outside(
    propensity: FloatArray, label: IntArray, order: IntArray, rng: np.random.Generator
) -> IntArray:
    """Draw for every node an earlier one of another class, by propensity; -1 if there is none."""
    earlier = np.full(order.size, -1, dtype=np.int64)
    arriving = label[order]
    for value in range(int(label.max()) + 1):
        mass = np.cumsum(np.where(arriving == value, 0.0, propensity[order]))
        own = np.flatnonzero(arriving == value)
        total = mass[own]
        own, total = own[total > 0], total[total > 0]
        target = np.minimum(rng.random(own.size) * total, np.nextafter(total, 0.0))
        earlier[order[own]] = order[np.searchsorted(mass, target, side="right")]
    return earlier


def _all_pairs(sizes: IntArray, inside: bool) -> IntArray:
    """All node pairs inside the contiguous classes, or all between them; smaller number first."""
    end = np.cumsum(sizes)
    parts = []
    for start, stop in zip(end - sizes, end, strict=True):
        if inside:
            parts.append(np.stack(np.triu_indices(stop - start, 1)) + start)
        else:
            later = np.arange(stop, end[-1])
            members = np.arange(start, stop)
            parts.append(np.stack([np.repeat(members, later.size), np.tile(later, members.size)]))
    return np.concatenate(parts, axis=1)
