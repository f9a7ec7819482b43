"""Graph diffusion convolution: exact and approximate against a dense reference."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import scipy.linalg
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import GDC
from torch_geometric.utils import to_dense_adj, to_undirected

from grandpp.data import DiffusionRewiring, rewire

IN = ("sym", "col", "row")


@pytest.fixture
def club(karate) -> Data:
    """The karate club with weights that leave no two entries of a kernel equal."""
    generator = torch.Generator().manual_seed(3)
    half = torch.rand(34, 34, generator=generator, dtype=torch.float64) + 0.5
    weight = (half + half.t())[karate[0], karate[1]]
    return Data(edge_index=karate, edge_weight=weight, x=torch.ones(34, 2, dtype=torch.float64))


def dense(data: Data) -> np.ndarray:
    """Sources as rows, targets as columns."""
    n = data.num_nodes
    return to_dense_adj(data.edge_index, edge_attr=data.edge_weight, max_num_nodes=n)[0].numpy()


def normalized(matrix: np.ndarray, how: str | None) -> np.ndarray:
    if how is None:
        return matrix
    into = matrix.sum(1 if how == "row" else 0)
    inverse = np.divide(1.0, into, out=np.zeros_like(into), where=into > 0)
    if how == "sym":
        return np.sqrt(inverse)[:, None] * matrix * np.sqrt(inverse)
    return inverse[:, None] * matrix if how == "row" else matrix * inverse


def reference(data: Data, kernel: str, how_in: str, loop: float = 1.0) -> np.ndarray:
    """S for alpha = 0.15 or t = 5."""
    step = normalized(dense(data) + loop * np.eye(data.num_nodes), how_in)
    if kernel == "heat":
        return scipy.linalg.expm(5.0 * (step - np.eye(len(step))))
    return 0.15 * np.linalg.inv(np.eye(len(step)) - 0.85 * step)


def strongest(matrix: np.ndarray, count: int) -> np.ndarray:
    """Keep the largest entries of every column."""
    least = np.sort(matrix, axis=0)[-count]
    return np.where(matrix >= least, matrix, 0.0)


@pytest.mark.parametrize("method", ["exact", "approximate"])
@pytest.mark.parametrize("kernel", ["ppr", "heat"])
@pytest.mark.parametrize("how", list(itertools.product(IN, (*IN, None))), ids=str)
def test_the_strongest_edges_are_those_of_the_dense_kernel(club, method, kernel, how):
    options = {"normalization_in": how[0], "normalization_out": how[1], "method": method}
    made = rewire(club, kernel=kernel, top_k=7, tolerance=1e-10, **options)
    expected = normalized(strongest(reference(club, kernel, how[0]), 7), how[1])
    assert np.allclose(dense(made), expected, atol=1e-7)


@pytest.mark.parametrize("method", ["exact", "approximate"])
@pytest.mark.parametrize("kernel", ["ppr", "heat"])
@pytest.mark.parametrize("loop", [0.0, 2.5])
def test_a_threshold_alone_or_with_a_count_bounds_the_entries(club, method, kernel, loop):
    options = {"kernel": kernel, "self_loop_weight": loop, "method": method, "tolerance": 1e-10}
    full = reference(club, kernel, "sym", loop)
    alone = rewire(club, top_k=None, threshold=0.03, **options)
    kept = np.where(full >= 0.03, full, 0.0)
    assert np.allclose(dense(alone), normalized(kept, "col"), atol=1e-7)
    both = rewire(club, top_k=4, threshold=0.03, **options)
    assert np.allclose(dense(both), normalized(strongest(kept, 4), "col"), atol=1e-7)


def test_the_exact_edges_are_those_of_pyg_on_a_directed_graph_too():
    edge_index = torch.tensor([[0, 0, 1, 2, 3, 4, 4, 2], [1, 2, 3, 3, 4, 0, 5, 6]])
    weight = torch.linspace(0.5, 2.0, 8)
    data = Data(edge_index=edge_index, edge_weight=weight, num_nodes=7)
    gdc = GDC(1.0, "col", "col", {"method": "ppr", "alpha": 0.15},
              {"method": "topk", "k": 4, "dim": 0})  # fmt: skip
    theirs = gdc(Data(edge_index=edge_index, edge_attr=weight, num_nodes=7))
    theirs.edge_weight = theirs.edge_attr
    assert np.allclose(
        dense(rewire(data, top_k=4, normalization_in="col")), dense(theirs), atol=1e-6
    )


def test_edges_lead_from_where_a_directed_diffusion_comes_from():
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
    made = rewire(data, normalization_in="col")
    assert set(map(tuple, made.edge_index.t().tolist())) == {
        (0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)
    }  # fmt: skip


@pytest.mark.parametrize("kernel", ["ppr", "heat"])
@pytest.mark.parametrize(("how", "gamma"), [("col", 0.0), ("sym", 0.5), ("row", 1.0)])
def test_the_error_of_the_approximation_is_within_the_stated_bound(club, kernel, how, gamma):
    tolerance = 1e-3
    made = rewire(club, kernel=kernel, top_k=None, normalization_in=how, normalization_out=None,
                  method="approximate", tolerance=tolerance)  # fmt: skip
    degree = dense(club).sum(0) + 1.0
    bound = tolerance * degree[:, None] ** (1 - gamma) * degree**gamma
    error = reference(club, kernel, how) - dense(made)
    assert error.min() >= -1e-13
    assert (error <= bound + 1e-13).all()
    assert (error / bound).max() > 0.05


def test_weights_into_every_node_add_up_to_one_and_are_at_most_top_k(club):
    for method in ("exact", "approximate"):
        made = rewire(club, top_k=5, method=method)
        assert torch.bincount(made.edge_index[1]).tolist() == [5] * 34
        total = torch.zeros(34, dtype=torch.float64).index_add(
            0, made.edge_index[1], made.edge_weight
        )
        assert torch.allclose(total, torch.ones(34, dtype=torch.float64))
        assert float(made.edge_weight.min()) > 0
        assert made.is_coalesced()


@pytest.mark.parametrize("method", ["exact", "approximate"])
@pytest.mark.parametrize("kernel", ["ppr", "heat"])
def test_separate_components_stay_separate(karate, kernel, method):
    two = torch.cat([karate, karate + 34, torch.tensor([[70], [70]])], dim=1)
    made = rewire(Data(edge_index=two, num_nodes=72), kernel=kernel, method=method)
    source, target = made.edge_index
    part = torch.bucketize(torch.arange(72), torch.tensor([34, 68, 69, 70, 71]), right=True)
    assert torch.equal(part[source], part[target])
    assert int((part[source] == 5).sum()) == 1  # the lone node keeps its loop


def test_large_graphs_need_memory_for_what_they_keep_alone():
    n = 6000  # a dense kernel has 288 MB
    ring = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
    data = Data(edge_index=to_undirected(ring), num_nodes=n)
    tracemalloc.start()
    made = rewire(data, kernel="heat", t=2.0, top_k=3, tolerance=1e-3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    distance = (made.edge_index[0] - made.edge_index[1]).remainder(n)
    assert torch.bincount(distance, minlength=n)[[0, 1, n - 1]].tolist() == [n, n, n]


def test_small_graphs_are_exact_unless_the_approximation_is_asked_for(club):
    auto, exact = rewire(club, tolerance=0.5), rewire(club, tolerance=0.5, method="exact")
    assert torch.equal(auto.edge_weight, exact.edge_weight)
    coarse = rewire(club, tolerance=0.05, method="approximate")
    assert coarse.num_edges < exact.num_edges


def test_the_approximation_wants_an_undirected_graph(club):
    club.edge_weight[0] += 1.0
    with pytest.raises(ValueError, match="expected an undirected graph"):
        rewire(club, method="approximate")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kernel": "poisson"}, "'kernel' to be one of ppr, heat"),
        ({"method": "fast"}, "'method' to be one of"),
        ({"normalization_in": None}, "'normalization_in'"),
        ({"normalization_out": "rw"}, "'normalization_out'"),
        ({"alpha": 1.0}, "'alpha' between 0 and 1"),
        ({"t": float("inf")}, "'t' between 0 and inf"),
        ({"tolerance": 0.0}, "'tolerance'"),
        ({"tolerance": float("nan")}, "'tolerance'"),
        ({"threshold": -0.1}, "'threshold'"),
        ({"top_k": 0}, "'top_k' to be at least 1"),
        ({"self_loop_weight": -1.0}, "'self_loop_weight' >= 0"),
    ],
)
def test_options_out_of_range_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        DiffusionRewiring(**options)


def test_a_single_node_cannot_be_rewired():
    with pytest.raises(ValueError, match="at least 2 nodes"):
        rewire(Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=1))


def test_the_text_of_the_transform_names_its_choices():
    assert repr(DiffusionRewiring("heat", t=3.0, top_k=8)) == (
        "DiffusionRewiring(heat, t=3.0, top_k=8, threshold=None, self_loop_weight=1.0, "
        "normalization=sym->col, method=auto, tolerance=0.0001)"
    )
