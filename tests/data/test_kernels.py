"""Sparse rows of diffusion kernels against dense ones and against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp

from grandpp.data.kernels import HeatKernel, PersonalizedPageRank, RandomWalk, largest

KERNELS = [PersonalizedPageRank(0.15), PersonalizedPageRank(0.6), HeatKernel(0.5), HeatKernel(5.0)]


def random_graph(n: int = 60) -> sp.csr_array:
    """Weighted and undirected, with a hub and an isolated node (the last)."""
    rng = np.random.default_rng(0)
    weight = np.triu(rng.random((n, n)) * (rng.random((n, n)) < 0.06), 1)
    weight[0, 1 : n // 2] = 1.0
    weight[:, -1] = 0.0
    return sp.csr_array(weight + weight.T)


def dense_kernel(kernel, walk: RandomWalk) -> np.ndarray:
    step, identity = walk.step.toarray(), np.eye(walk.degree.size)
    if isinstance(kernel, HeatKernel):
        return scipy.linalg.expm(kernel.t * (step - identity))
    return kernel.alpha * np.linalg.inv(identity - (1 - kernel.alpha) * step)


def rows_of(kernel, walk: RandomWalk, tolerance: float) -> np.ndarray:
    return kernel.rows(walk, np.arange(walk.degree.size), tolerance).toarray()


@pytest.mark.parametrize("tolerance", [3e-2, 1e-3, 1e-6])
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_entries_are_too_small_by_at_most_the_tolerance_times_the_degree(kernel, tolerance):
    walk = RandomWalk.on(random_graph())
    error = dense_kernel(kernel, walk) - rows_of(kernel, walk, tolerance)
    assert error.min() >= -1e-13
    assert (error <= tolerance * walk.degree + 1e-13).all()
    assert error.max() > 1e-4 * tolerance  # something was left out


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_the_bound_holds_for_weights_of_any_size(kernel, scale):
    walk = RandomWalk.on(scale * random_graph())
    error = dense_kernel(kernel, walk) - rows_of(kernel, walk, 1e-3 / scale)
    assert error.min() >= -1e-13
    assert (error <= 1e-3 / scale * walk.degree + 1e-13).all()


def test_two_nodes_have_kernels_in_closed_form():
    walk = RandomWalk.on(sp.csr_array(np.array([[0.0, 2.0], [2.0, 0.0]])))
    for t in (0.1, 1.0, 30.0):
        stay, leave = (1 + math.exp(-2 * t)) / 2, (1 - math.exp(-2 * t)) / 2
        expected = np.array([[stay, leave], [leave, stay]])
        assert np.allclose(rows_of(HeatKernel(t), walk, 1e-12), expected, atol=1e-10)
    for alpha in (0.05, 0.5):
        stay = 1 / (2 - alpha)
        expected = np.array([[stay, 1 - stay], [1 - stay, stay]])
        found = rows_of(PersonalizedPageRank(alpha), walk, 1e-12)
        assert np.allclose(found, expected, atol=1e-10)


def test_after_a_long_time_the_walk_forgets_where_it_began():
    graph = random_graph()[:-1, :-1]
    walk = RandomWalk.on(sp.csr_array(graph))
    share = walk.degree / walk.degree.sum()
    assert np.allclose(rows_of(HeatKernel(100.0), walk, 1e-6), share, atol=1e-4)


def test_where_nothing_leads_away_all_stays():
    walk = RandomWalk.on(random_graph())
    last = walk.degree.size - 1
    assert walk.degree[last] == 0
    for kernel, stays in ((HeatKernel(2.0), math.exp(-2.0)), (PersonalizedPageRank(0.3), 0.3)):
        row = kernel.rows(walk, np.array([last]), 1e-3)
        assert row.indices.tolist() == [last]
        assert row.data.tolist() == pytest.approx([stays])


def test_a_coarse_tolerance_keeps_fewer_entries():
    walk = RandomWalk.on(random_graph())
    for kernel in KERNELS:
        nodes = np.arange(walk.degree.size)
        fine, coarse = (kernel.rows(walk, nodes, tol).nnz for tol in (1e-5, 0.1))
        assert coarse < 0.7 * fine


def test_the_largest_entries_of_a_row_and_the_first_of_equal_ones_are_kept():
    matrix = np.array([[1.0, 3.0, 2.0, 3.0], [0.0, 5.0, 0.0, 0.0], [7.0, 7.0, 7.0, 7.0]])
    kept = largest(sp.csr_array(matrix), 2).toarray()
    assert kept.tolist() == [[0, 3, 0, 3], [0, 5, 0, 0], [7, 7, 0, 0]]
    assert largest(sp.csr_array(matrix), 9).toarray().tolist() == matrix.tolist()
