"""The Lanczos algorithm against dense eigendecompositions."""

from __future__ import annotations

import pytest
import torch
from reference import dense_symmetric
from torch_geometric.utils import remove_self_loops, to_undirected

from grandpp.graph import prepare_graph, symmetric_normalize
from grandpp.linalg.lanczos import lanczos, random_start


def operator(edges, n, weight=None):
    graph = prepare_graph(edges, n)
    prior = graph.prior(weight, 1.0, like=torch.zeros((), dtype=torch.float64))
    return graph.csr, symmetric_normalize(graph, prior)


def test_all_steps_give_the_whole_spectrum(karate):
    weight = (1.0 + (karate.sum(0) % 3)).double()
    csr, values = operator(karate, 34, weight)
    dense = dense_symmetric(karate, weight, 34, loops=1.0)
    space = lanczos(csr, values, random_start(34, values), 34)
    # The club has twins, nodes with the same neighbours: some eigenvalues are multiple, and a
    # Krylov space holds one vector of each.
    k = space.matrix.size(0)
    torch.testing.assert_close(space.basis.t() @ space.basis, torch.eye(k).double())
    vectors, found = space.ritz()
    distinct = torch.linalg.eigvalsh(dense)
    distinct = distinct[torch.cat([torch.ones(1, dtype=torch.bool), distinct.diff() > 1e-6])]
    torch.testing.assert_close(found, distinct)
    torch.testing.assert_close(dense @ vectors, vectors * found, rtol=0, atol=1e-9)


def test_few_steps_find_the_extreme_eigenvalues_and_keep_orthogonality():
    torch.manual_seed(0)
    edges = to_undirected(remove_self_loops(torch.randint(500, (2, 2000)))[0])
    csr, values = operator(edges, 500)
    space = lanczos(csr, values, random_start(500, values), 40)
    assert space.matrix.shape == (40, 40)
    torch.testing.assert_close(space.basis.t() @ space.basis, torch.eye(40).double())
    dense = dense_symmetric(edges, torch.ones(edges.size(1)), 500, loops=1.0)
    torch.testing.assert_close(space.basis.t() @ dense @ space.basis, space.matrix)
    exact = torch.linalg.eigvalsh(dense)
    _, found = space.ritz()
    assert float(exact[-1] - found[-1]) == pytest.approx(0, abs=1e-12)
    assert float(found[0] - exact[0]) == pytest.approx(0, abs=1e-4)


def test_an_exhausted_space_ends_early_and_pads_with_zeros(path):
    csr, values = operator(path, 4)
    start = dense_symmetric(path, torch.ones(6), 4, loops=1.0).sum(1)
    root = torch.tensor([2.0, 3.0, 3.0, 2.0]).double().sqrt()
    space = lanczos(csr, values, root, 4)  # the eigenvector to eigenvalue 1
    torch.testing.assert_close(space.matrix, torch.ones(1, 1).double())
    assert lanczos(csr, values, start, 4).matrix.size(0) == 2  # the symmetric half
    padded = space.padded(3)
    assert padded.shape == (3, 3)
    assert padded.sum() == 1
    assert lanczos(csr, values, random_start(4, values), 50).matrix.size(0) == 4


def test_functions_of_the_small_matrix_are_functions_of_the_large_one(karate):
    csr, values = operator(karate, 34)
    dense = dense_symmetric(karate, torch.ones(156), 34, loops=1.0)
    start = random_start(34, values)
    space = lanczos(csr, values, start, 12)
    first = start.norm() * torch.eye(12)[0].double()
    for power in (3, 11):  # a space of k steps is exact up to the power k - 1
        small = space.basis @ torch.linalg.matrix_power(space.matrix, power) @ first
        torch.testing.assert_close(small, torch.linalg.matrix_power(dense, power) @ start)


def test_gradients_by_the_weights_are_right(path):
    csr, values = operator(path, 4)
    start = random_start(4, values)

    def powers(values):
        space = lanczos(csr, values, start, 3)
        return space.matrix, space.basis

    assert torch.autograd.gradcheck(powers, values.requires_grad_())
