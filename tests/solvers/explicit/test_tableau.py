"""Coefficients against the order conditions of rooted trees (Butcher 1972)."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from grandpp.solvers.explicit.tableau import DORMAND_PRINCE, TSIT5

BOTH = pytest.mark.parametrize("pair", [TSIT5, DORMAND_PRINCE], ids=["tsit5", "dormand_prince"])


def result(pair):
    return (*pair.stages[-1], 0.0)


def partitions(n, most):
    if n == 0:
        yield ()
    for k in range(min(n, most), 0, -1):
        for rest in partitions(n - k, k):
            yield (k, *rest)


def trees(n):
    """Rooted trees with n nodes, each the sorted tuple of its subtrees."""
    found = set()
    for sizes in partitions(n - 1, n - 1):
        for branches in itertools.product(*[trees(k) for k in sizes]):
            found.add(tuple(sorted(branches)))
    return found


def nodes(tree):
    return 1 + sum(map(nodes, tree))


def density(tree):
    return nodes(tree) * math.prod(map(density, tree))


def stage_weights(tree, stages):
    """Elementary weights of a tree, per stage."""
    total = [1.0] * len(stages)
    for branch in tree:
        below = stage_weights(branch, stages)
        total = [
            t * math.fsum(a * w for a, w in zip(row, below, strict=False))
            for t, row in zip(total, stages, strict=True)
        ]
    return total


def defect(pair, weights, order, theta=1.0):
    """How far the weights are from the conditions of one order, at a fraction of the step."""
    stages = ((), *pair.stages)
    return max(
        abs(
            math.fsum(b * w for b, w in zip(weights, stage_weights(tree, stages), strict=True))
            - theta**order / density(tree)
        )
        for tree in trees(order)
    )


def test_there_are_as_many_trees_as_there_should_be():
    assert [len(trees(n)) for n in range(1, 7)] == [1, 1, 2, 4, 9, 20]


@BOTH
def test_the_result_has_order_five_and_not_six(pair):
    assert pair.order == 5
    for order in range(1, 6):
        assert defect(pair, result(pair), order) < 3e-14
    assert defect(pair, result(pair), 6) > 1e-4


@BOTH
def test_the_embedded_result_has_order_four_and_not_five(pair):
    embedded = [b - e for b, e in zip(result(pair), pair.errors, strict=True)]
    for order in range(1, 5):
        assert defect(pair, embedded, order) < 3e-14
    assert defect(pair, embedded, 5) > 1e-4


@BOTH
@pytest.mark.parametrize("theta", [0.1, 0.37, 0.8])
def test_the_interpolant_has_order_four_everywhere(pair, theta):
    for order in range(1, 5):
        assert defect(pair, pair.weights(theta), order, theta) < 3e-14
    assert defect(pair, pair.weights(theta), 5, theta) > 1e-5


@BOTH
def test_nodes_are_row_sums_and_the_last_two_lie_at_the_end(pair):
    assert [sum(row) for row in pair.stages] == pytest.approx(pair.nodes, abs=1e-14)
    assert pair.nodes[-2:] == (1.0, 1.0)


@BOTH
def test_the_interpolant_joins_states_and_slopes_of_the_ends(pair):
    theta = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    weights = torch.stack(pair.weights(theta))
    assert weights[:, 0].tolist() == [0.0] * 7
    assert weights[:, 1].tolist() == pytest.approx(result(pair), abs=3e-14)
    slopes = torch.stack(
        [torch.autograd.grad(w.sum(), theta, retain_graph=True)[0] for w in weights]
    )
    assert slopes[:, 0].tolist() == pytest.approx([1, 0, 0, 0, 0, 0, 0], abs=1e-13)
    assert slopes[:, 1].tolist() == pytest.approx([0, 0, 0, 0, 0, 0, 1], abs=1e-13)
