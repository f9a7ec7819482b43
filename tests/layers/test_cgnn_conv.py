"""The continuous GNN against matrix exponentials."""

from __future__ import annotations

import pytest
import torch
from reference import dense_symmetric

from grandpp.layers import CGNNConv

TIGHT = {"solver": "exact", "rtol": 1e-11}


def dense_solution(edges, weight, x, alpha, time, loops=0.0):
    """The state at T by one exponential, the source as one more row and column per channel."""
    n, channels = x.shape
    s = dense_symmetric(edges, weight, n, loops=loops)
    eye = torch.eye(n).double()
    top = torch.cat([alpha / 2 * (eye + s) - eye, x], dim=1)
    block = torch.cat([top, torch.zeros(channels, n + channels).double()])
    start = torch.cat([x, torch.eye(channels).double()])
    return (torch.matrix_exp(time * block) @ start)[:n]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_the_exact_solve_equals_the_matrix_exponential(alpha, weighted, karate, features):
    weight = 1.0 + (karate.sum(0) % 3).double() if weighted else torch.ones(156).double()
    conv = CGNNConv(8, alpha=alpha, time=7.0, **TIGHT)
    expected = dense_solution(karate, weight, features, alpha, 7.0)
    given = weight if weighted else None
    torch.testing.assert_close(conv(features, karate, given), expected, rtol=0, atol=1e-8)
    assert conv.solve(features, karate, given).stats.nfe_forward < 60


def test_other_solvers_and_directed_graphs_agree(features):
    torch.manual_seed(0)
    edges = torch.randint(34, (2, 200))
    edges = edges[:, edges[0] != edges[1]]
    weight = torch.rand(edges.size(1)).double() + 0.1
    assert edges[1].unique().numel() == 34  # every node receives something
    expected = dense_solution(edges, weight, features, 0.9, 3.0)
    for options in (TIGHT, {"solver": "dopri5", "rtol": 1e-9, "atol": 1e-10}):
        conv = CGNNConv(8, alpha=0.9, time=3.0, **options)
        torch.testing.assert_close(conv(features, edges, weight), expected, rtol=0, atol=1e-7)
    assert CGNNConv(8).solve(features, edges, weight).stats.methods == [(0.0, "exact")]


def test_saved_states_grow_towards_the_restart_limit(karate, features):
    conv = CGNNConv(8, alpha=0.5, time=200.0, **TIGHT)
    solution = conv.solve(features, karate, save_at=[0.5, 200.0])
    s = dense_symmetric(karate, torch.ones(156), 34)
    a = 0.25 * (torch.eye(34).double() + s)
    limit = torch.linalg.solve(torch.eye(34).double() - a, features)
    torch.testing.assert_close(solution.ys[1], limit, rtol=0, atol=1e-8)
    early = dense_solution(karate, torch.ones(156), features, 0.5, 0.5)
    torch.testing.assert_close(solution.ys[0], early, rtol=0, atol=1e-8)


@pytest.mark.parametrize("solver", ["exact", "dopri5"])
def test_gradients_reach_features_and_weights(solver, path):
    torch.manual_seed(0)
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    weight = (torch.rand(3).double() + 0.5).repeat(2).requires_grad_()
    conv = CGNNConv(2, alpha=0.8, time=1.5, solver=solver, rtol=1e-10)
    order = torch.argsort(path.amin(0) * 4 + path.amax(0))  # both ways of an edge together
    edges = path[:, order]

    def out(x, weight):
        return conv(x, edges, weight)

    assert torch.autograd.gradcheck(out, (x, weight), atol=1e-5)


def test_adjoint_gradients_equal_direct_ones(path):
    grads = []
    for gradient in ("direct", "adjoint"):
        torch.manual_seed(0)
        x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
        weight = torch.ones(6).double().requires_grad_()
        conv = CGNNConv(2, time=1.0, solver="dopri5", rtol=1e-9, atol=1e-10, gradient=gradient)
        conv(x, path, weight).square().sum().backward()
        grads.append((x.grad, weight.grad))
    torch.testing.assert_close(*grads, rtol=1e-6, atol=1e-7)


def test_a_node_without_edges_and_messages_instead_of_products(karate, features):
    x = torch.cat([features, torch.ones(1, 8).double()])
    alone = CGNNConv(8, alpha=0.5, time=2.0, **TIGHT)(x, karate)[34]
    # A loop alone: H' = -(1 - alpha) H + E.
    decay = torch.tensor(-1.0).double().exp()
    torch.testing.assert_close(alone, (decay + (1 - decay) / 0.5).expand(8))
    conv = CGNNConv(8, time=2.0, rtol=1e-8, atol=1e-9)
    plain = conv(features, karate)
    conv.register_message_forward_hook(lambda *args: None)
    torch.testing.assert_close(conv(features, karate), plain, rtol=0, atol=1e-5)


def test_choices_show_and_wrong_ones_are_refused():
    conv = CGNNConv(16, alpha=0.5, time=3.0, solver="exact")
    assert str(conv) == f"CGNNConv(16, alpha=0.5, time=3, solver={conv.solver})"
    assert not list(conv.parameters())
    with pytest.raises(ValueError, match=r"'alpha' in \[0, 1\] \(got 1.1\)"):
        CGNNConv(4, alpha=1.1)
    with pytest.raises(ValueError, match="finite 'time'"):
        CGNNConv(4, time=float("inf"))


@pytest.mark.parametrize("time", [1e3, 1e4, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_default_solver_loses_no_accuracy_with_depth(dtype, time, karate, features):
    conv = CGNNConv(8, alpha=0.918, time=time)
    s = dense_symmetric(karate, torch.ones(156), 34)
    eye = torch.eye(34).double()
    a = 0.459 * (eye + s)
    # Nothing of the start is left after a thousand.
    limit = torch.linalg.solve(eye - a, features)
    error = (conv(features.to(dtype), karate).double() - limit).abs().max()
    assert error < 1e-5 * limit.abs().max()


@pytest.mark.parametrize("time", [2500.0, 10_000.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_tight_tolerance_is_met_or_rounding_is_without_decay(weighted, time):
    edges = torch.tensor([[0, 0, 1, 2, 3, 0], [0, 1, 2, 3, 1, 4]])  # directed
    weight = torch.tensor([1.0, 1.0, 0.5, 2.0, 1.0, 3.0]).double() if weighted else None
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = CGNNConv(2, alpha=1.0, time=time, solver="exact", rtol=1e-11)(x, edges, weight)
    given = torch.ones(6).double() if weight is None else weight
    expected = dense_solution(edges, given, x, 1.0, time)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8 * time)
