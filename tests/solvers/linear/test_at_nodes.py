"""The solution at some nodes against dense exponentials and the solve for all nodes."""

from __future__ import annotations

import pytest
import torch

from grandpp.layers import GRANDConv, GRANDPPConv
from grandpp.linalg import products
from grandpp.solvers import SolveError
from grandpp.solvers.linear import recursion
from grandpp.solvers.linear.at_nodes import ExactAtNodes

NODES = torch.tensor([3, 5, 17, 3, 20])
TRUSTED = torch.tensor([3, 5, 17, 8])


@pytest.fixture
def planned(monkeypatch):
    """The plans that were made, ``None`` for a solve for all nodes."""
    plans, plan = [], ExactAtNodes.plan

    def noted(*args, **options):
        plans.append(plan(*args, **options))
        return plans[-1]

    monkeypatch.setattr(ExactAtNodes, "plan", noted)
    return plans


def ring(chords):
    n = 24
    source = torch.arange(n)
    pairs = [torch.stack([source, (source + step) % n]) for step in (1, *chords)]
    edges = torch.cat(pairs, dim=1)
    return torch.cat([edges, edges.flip(0)], dim=1)


def make(layer, **settings):
    torch.manual_seed(0)
    conv = layer(64, **{"solver": "exact", "time": 3.0, "rtol": 1e-12, **settings}).double()
    for name, parameter in conv.named_parameters():
        if name != "time":
            torch.nn.init.normal_(parameter, std=0.2)
    return conv, torch.randn(24, 64, dtype=torch.float64, requires_grad=True)


def outcome(conv, x, *args, nodes):
    """The states at NODES, and the gradients to everything."""
    leaves = [t for t in (x, *args, *conv.parameters()) if t is not None and t.requires_grad]
    solution = conv.solve(x, *args, nodes=nodes)
    y = solution.y if nodes is not None else solution.y[NODES]
    return solution, [y.detach(), *torch.autograd.grad(y.pow(3).sum(), leaves)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"learn_beta": True},
        {"attention": None},
        {"attention": None, "time": 40.0},  # Chebyshev
        {"solver": "auto", "rtol": 1e-12, "atol": 1e-12},
        {"time": torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))},
    ],
    ids=["attention", "beta", "walk", "chebyshev", "auto", "learned time"],
)
@pytest.mark.parametrize("layer", [GRANDConv, GRANDPPConv])
@pytest.mark.parametrize("weighted", [False, True])
def test_states_and_gradients_are_those_of_the_solve_for_all_nodes(
    layer, settings, weighted, planned
):
    conv, x = make(layer, **settings)
    edges = ring([5])
    weight = torch.rand(edges.size(1), dtype=torch.float64).requires_grad_() if weighted else None
    more = (TRUSTED,) if layer is GRANDPPConv else ()
    some, found = outcome(conv, x, edges, weight, *more, nodes=NODES)
    everywhere, expected = outcome(conv, x, edges, weight, *more, nodes=None)
    assert isinstance(planned[0], ExactAtNodes)
    assert len(planned) == 1
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)
    assert some.stats.nfe_forward == everywhere.stats.nfe_forward
    assert some.stats.nfe_backward == everywhere.stats.nfe_backward
    assert some.stats.methods == everywhere.stats.methods
    assert (some.stats.steps, some.t_reached) == (1, everywhere.t_reached)


def test_states_are_those_of_the_dense_exponential():
    conv, x = make(GRANDConv)
    edges = ring([5])
    index, values = conv.attention_weights(x, edges)
    dense = torch.zeros(24, 24, dtype=torch.float64).index_put((index[1], index[0]), values)
    tau = 3.0 * conv.alpha_logit.sigmoid()
    expected = torch.matrix_exp(tau * (dense - torch.eye(24).double())) @ x
    torch.testing.assert_close(conv.solve(x, edges, nodes=NODES).y, expected[NODES])
    mask = torch.zeros(24, dtype=torch.bool).index_fill(0, NODES, True)
    torch.testing.assert_close(conv.solve(x, edges, nodes=mask).y, expected[mask])


def test_single_precision_in_blocks_of_columns_agrees_with_double(planned, monkeypatch):
    monkeypatch.setattr(products, "_CACHED_BYTES", 24 * 8 * 16)
    conv, x = make(GRANDPPConv)
    edges, more = ring([2, 3, 4, 5, 6, 7]), (None, TRUSTED)
    nodes = torch.arange(20)
    wanted = conv.solve(x, edges, *more, nodes=nodes).y
    got = conv.float().solve(x.float(), edges, *more, nodes=nodes).y
    assert all(plan.columns == 32 for plan in planned)
    torch.testing.assert_close(got, wanted.float(), rtol=1e-4, atol=1e-5)


def test_a_measure_for_another_time_span_is_computed_separately(planned):
    conv, x = make(GRANDPPConv)
    conv.source_time = 9.0
    _, found = outcome(conv, x, ring([5]), None, TRUSTED, nodes=NODES)
    _, expected = outcome(conv, x, ring([5]), None, TRUSTED, nodes=None)
    assert planned[0] is not None
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("settings", "nodes", "options"),
    [
        ({}, torch.arange(24).repeat(3), {}),  # more nodes than channels
        ({}, NODES[:0], {}),
        ({"solver": "dopri5", "rtol": 1e-8, "atol": 1e-8}, NODES, {}),
        ({"mode": "nonlinear", "solver": "dopri5", "atol": 1e-8}, NODES, {}),
        ({"time": 0.0}, NODES, {}),
        ({"time": float("inf"), "rtol": None}, NODES, {}),
        ({"time": 40.0}, NODES, {}),  # too many terms to keep
        ({}, NODES, {"save_at": [1.0, 3.0]}),
    ],
    ids=["many", "none", "dopri5", "nonlinear", "time 0", "limit", "long", "saved"],
)
def test_every_other_solve_selects_the_nodes_of_its_states(
    settings, nodes, options, planned, monkeypatch
):
    monkeypatch.setattr(recursion, "_KEPT_BYTES", 0)
    conv, x = make(GRANDConv, **settings)
    got = conv.solve(x, ring([5]), nodes=nodes, **options).ys
    assert all(plan is None for plan in planned)
    wanted = conv.solve(x, ring([5]), **options).ys[:, nodes]
    torch.testing.assert_close(got, wanted)


def test_failures_are_those_of_the_solve_for_all_nodes(planned):
    conv, x = make(GRANDConv, max_nfe=3)
    with pytest.raises(SolveError, match="budget"):
        conv.solve(x, ring([5]), nodes=NODES)
    conv, x = make(GRANDConv)
    with pytest.raises(ValueError, match="finite"):
        conv.solve(x.detach() / 0, ring([5]), nodes=NODES)
    assert planned == [None]


@pytest.mark.parametrize(
    ("nodes", "error", "words"),
    [
        ([0, 1], TypeError, "expected 'nodes' to be a tensor"),
        (torch.tensor([24]), IndexError, r"in \[0, 24\)"),
        (torch.tensor([-1]), IndexError, "got -1"),
        (torch.tensor([0.5]), ValueError, "indices"),
        (torch.ones(3, dtype=torch.bool), ValueError, r"mask \[24\]"),
        (torch.tensor([[1]]), ValueError, "indices"),
    ],
)
@pytest.mark.parametrize("layer", [GRANDConv, GRANDPPConv])
def test_malformed_nodes_are_refused(layer, nodes, error, words):
    conv, x = make(layer)
    with pytest.raises(error, match=words):
        conv.solve(x, ring([5]), nodes=nodes)


def test_nothing_is_kept_without_a_gradient(planned):
    conv, x = make(GRANDConv)
    with torch.no_grad():
        y = conv.solve(x, ring([5]), nodes=NODES).y
    assert not y.requires_grad
    torch.testing.assert_close(y, conv.solve(x, ring([5])).y[NODES].detach())
