"""Factors of I - A^T against dense solves, with the order of elimination found once."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

import grandpp.linalg.elimination as module
import grandpp.linalg.singular as singular
from grandpp.linalg import CSR
from grandpp.linalg.components import find_components
from grandpp.linalg.elimination import Elimination
from grandpp.linalg.singular import SingularSystem


def random_graph(seed=0):
    """Two components of 30 and 20 nodes, every undirected edge and loop once, one edge twice."""
    rng = np.random.default_rng(seed)
    pairs = [(i, int(rng.integers(max(i - 5, 0), i))) for i in range(1, 30)]
    pairs += [(i, int(rng.integers(30, i))) for i in range(31, 50)]
    edges = np.array([*pairs, (0, 29), (4, 17), (30, 49), (4, 17)])
    edges = np.concatenate([edges, edges[:, ::-1], np.repeat(np.arange(50), 2).reshape(-1, 2)])
    row, col = torch.from_numpy(edges.copy()).t()
    return CSR.from_coo(row, col, 50, 50)


def stochastic(csr, seed):
    raw = torch.rand(csr.col.numel(), generator=torch.Generator().manual_seed(seed)).double() + 0.1
    return raw / torch.zeros(csr.num_rows).double().index_add(0, csr.row, raw)[csr.row]


def dense(csr, values):
    a = torch.zeros(csr.num_rows, csr.num_cols, dtype=torch.float64)
    return a.index_put((csr.row, csr.col_long), values, accumulate=True).numpy()


def elimination(csr):
    every = torch.ones(csr.col.numel(), dtype=torch.bool)
    left_out = np.unique(find_components(csr, every).label.numpy(), return_index=True)[1]
    return Elimination(csr.rowptr.numpy(), csr.col.numpy(), left_out)


@pytest.mark.parametrize("fill", [100, 0], ids=["columns", "panels"])
def test_every_factor_solves_the_dense_system_without_the_nodes_left_out(fill, monkeypatch):
    monkeypatch.setattr(module, "_SPARSE_FILL", fill)
    csr = random_graph()
    ways = elimination(csr)
    kept = np.delete(np.arange(50), [0, 30])
    right = np.random.default_rng(0).normal(size=(50, 3))
    for seed in range(3):  # the first in SuperLU's order, the others in the one that it found
        values = stochastic(csr, seed)
        factor = ways.factorize(values.numpy())
        matrix = np.eye(50) - dense(csr, values)
        for transposed in (False, True):
            whole = matrix.T if transposed else matrix
            expected = np.zeros_like(right)
            expected[kept] = np.linalg.solve(whole[np.ix_(kept, kept)], right[kept])
            np.testing.assert_allclose(factor.solve(right, transposed), expected, atol=1e-11)
            one = factor.solve(right[:, 0], transposed)
            np.testing.assert_allclose(one, expected[:, 0], atol=1e-11)


def test_threads_that_find_the_order_at_once_keep_their_own(monkeypatch):
    csr = random_graph()
    ways, values = elimination(csr), [stochastic(csr, seed) for seed in (0, 1)]
    splu, other = module.splu, []

    def interrupted(*arguments, **options):
        if not other:
            other.append(None)
            # Finds the order before the first one has its own.
            other[0] = ways.factorize(values[1].numpy())
        return splu(*arguments, **options)

    monkeypatch.setattr(module, "splu", interrupted)
    factors = [ways.factorize(values[0].numpy()), other[0]]
    kept = np.delete(np.arange(50), [0, 30])
    for factor, a in zip(factors, values, strict=True):
        matrix, expected = np.eye(50) - dense(csr, a), np.zeros(50)
        expected[kept] = np.linalg.solve(matrix[np.ix_(kept, kept)], np.ones(48))
        np.testing.assert_allclose(factor.solve(np.ones(50), False), expected, atol=1e-11)


def test_an_elimination_is_made_when_needed_and_dies_with_its_pattern():
    csr = random_graph()
    system = SingularSystem(csr, stochastic(csr, 0))
    gc.collect()
    before = len(singular._ELIMINATIONS)
    assert csr not in singular._ELIMINATIONS
    system.null_vector(torch.ones(50, dtype=torch.float64))
    assert len(singular._ELIMINATIONS) == before + 1
    del csr, system
    gc.collect()
    assert len(singular._ELIMINATIONS) == before


def test_a_later_factorisation_does_not_search_for_an_order_again(monkeypatch):
    orders = []
    splu = module.splu

    def watched(matrix, permc_spec, **options):
        orders.append(permc_spec)
        return splu(matrix, permc_spec=permc_spec, **options)

    monkeypatch.setattr(module, "splu", watched)
    csr = random_graph()
    fills = []
    for seed in range(3):
        system = SingularSystem(csr, stochastic(csr, seed))
        assert system.null_vector(torch.ones(50, dtype=torch.float64)) is not None
        fills.append(system._factor.lu.nnz)
    assert orders == ["MMD_AT_PLUS_A", "NATURAL", "NATURAL"]
    assert max(fills) <= fills[0]


def test_other_classes_of_the_same_pattern_lose_other_nodes():
    csr = random_graph()
    values = stochastic(csr, 0)
    first, second = csr.row, csr.col_long
    cut = ((first < 10) == (second < 10)).double()  # another component where no edge counts
    values = values * cut
    values = values / torch.zeros(50).double().index_add(0, csr.row, values)[csr.row]
    start = torch.ones(50, dtype=torch.float64)
    first = SingularSystem(csr, stochastic(csr, 0))
    first.null_vector(start)  # keeps its elimination
    parts = find_components(csr, cut > 0)
    whole = first.classes.first_nodes()
    assert parts.count > len(whole)
    system = SingularSystem(csr, values)
    other = singular._elimination(csr, whole)
    assert singular._elimination(csr, system.classes.first_nodes()) is not other
    assert singular._elimination(csr, whole) is other  # both are kept
    pi = system.null_vector(start)
    assert len(system._factor.nodes) == 50 - parts.count  # and no Krylov solve in its place
    torch.testing.assert_close(pi @ torch.from_numpy(dense(csr, values)), pi, rtol=0, atol=1e-11)
    torch.testing.assert_close(parts.sum(pi), parts.sum(start), rtol=0, atol=1e-11)


def test_nothing_to_solve_and_singular_matrices_have_no_factor():
    loops = CSR.from_coo(torch.arange(3), torch.arange(3), 3, 3)
    assert elimination(loops).factorize(np.ones(3)) is None
    # 1 keeps all it has: without node 0 the rest is singular still.
    pair = CSR.from_coo(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 2, 2)
    ways = elimination(pair)
    assert ways.factorize(np.array([0.5, 0.5, 1.0])) is None
    assert ways.factorize(np.array([0.5, 0.5, 0.5])) is not None
    # Without the closed class of node 1 it is regular: a directed graph has a factor too.
    found = Elimination(pair.rowptr.numpy(), pair.col.numpy(), np.array([1]))
    assert found.factorize(np.array([0.5, 0.5, 1.0])) is not None
