"""The limit T = infinity against dense linear algebra and against long times."""

from __future__ import annotations

import pytest
import torch
from reference import dense_diffusion, dense_limit, dense_random_walk, to_dense

import grandpp.linalg.singular
from grandpp.layers import GRANDConv, GRANDPPConv
from grandpp.solvers import SolveError, Status, solve

INDEX = torch.tensor([0, 33, 5])
INF = float("inf")


def make(time, **kwargs):
    torch.manual_seed(0)
    kwargs.setdefault("source_gain", 1.0)
    conv = GRANDPPConv(8, time=time, heads=2, **kwargs).double()
    for parameter in conv.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.5)
    return conv


@pytest.mark.parametrize("attention", [None, "scaled_dot"])
def test_limit_equals_a_very_long_time_in_value_and_gradient(attention, karate, features):
    results = []
    for time, options in ((INF, {}), (5000.0, {"solver": "exact", "rtol": 1e-12})):
        conv = make(time, attention=attention, learn_gain=True, **options)
        x = features.clone().requires_grad_()
        weight = torch.linspace(0.5, 2, karate.size(1), dtype=torch.float64).requires_grad_()
        y = conv(x, karate, weight, INDEX)
        y.pow(3).sum().backward()
        results.append([y.detach(), x.grad, weight.grad, *(p.grad for p in conv.parameters())])
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-6)


def test_limit_solves_the_poisson_equation_and_keeps_the_degree_weighted_mean(karate, features):
    conv = make(INF, attention=None)
    z = conv(features, karate, source_index=INDEX)
    d = (torch.bincount(karate[1], minlength=34) + 1).double().unsqueeze(-1)
    s = torch.zeros_like(features)
    s[INDEX] = (features[INDEX] - features[INDEX].mean(0)) / d[INDEX]
    laplacian = torch.eye(34, dtype=torch.float64) - dense_random_walk(karate, 34)
    torch.testing.assert_close(laplacian @ z, s, rtol=0, atol=1e-9)
    torch.testing.assert_close((d * z).sum(0), (d * features).sum(0))


def test_limit_without_source_is_constant_in_every_component(karate, features):
    both = torch.cat([karate, karate + 34], dim=1)
    x = torch.cat([features, 2 * features, features[:1]])
    y = GRANDConv(8, time=INF).double()(x, both)
    assert y[:34].std(0).max() < 1e-9
    torch.testing.assert_close(y[34:68], 2 * y[:34])
    torch.testing.assert_close(y[68], x[68])


@pytest.mark.parametrize("factorised", [True, False])
def test_gradients_pass_gradcheck(factorised, path, monkeypatch):
    if not factorised:
        monkeypatch.setattr(grandpp.linalg.singular, "_FACTOR_UP_TO", 0)
    torch.manual_seed(0)
    conv = GRANDPPConv(2, time=INF, heads=1, attention="gat", source_gain=0.7).double()
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    weight = (torch.rand(6, dtype=torch.float64) + 0.5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, w: conv(a, path, w, torch.tensor([0, 3])), (x, weight), atol=1e-5
    )


def test_a_source_that_is_not_balanced_has_no_limit_and_says_so(karate, features):
    conv = make(INF, source="paper")
    with pytest.raises(SolveError, match=r"drifts for ever.*source='balanced'"):
        conv(features, karate, source_index=INDEX)
    solution = conv.solve(features, karate, source_index=INDEX, throw=False)
    assert solution.status is Status.UNBALANCED
    assert torch.isnan(solution.y).all()


def test_dtype_is_kept_and_float32_agrees_with_float64(karate, features):
    conv = make(INF)
    expected = conv(features, karate, source_index=INDEX)
    got = conv.float()(features.float(), karate, source_index=INDEX)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), expected, rtol=1e-3, atol=1e-3)


def test_finite_times_and_saved_states_are_refused(karate, features):
    field = make(INF).prepare(features, karate)
    for span, save_at in (((0.0, 1.0), None), ((0.0, INF), [1.0])):
        with pytest.raises(ValueError, match="infinity"):
            solve(field, features, span, solver="steady", save_at=save_at)
    with pytest.raises(TypeError, match="linear"):
        solve(lambda t, y: -y, features, (0.0, INF), solver="steady")


def dag(nodes, generator):
    """Edges from smaller to larger numbers, three per node."""
    target = torch.arange(1, nodes).repeat(3)
    source = (torch.rand(len(target), generator=generator) * target).long()
    return torch.stack([source, target])


def directed(nodes, generator):
    target = torch.arange(nodes).repeat(3)
    return torch.stack([torch.randint(nodes, (len(target),), generator=generator), target])


def sampled_trees(nodes, generator):
    """Neighbourhoods as a loader samples them: edges point towards the seeds 0 to 4."""
    source = torch.arange(5, nodes)
    return torch.stack([source, (torch.rand(len(source), generator=generator) * source).long()])


def several(nodes, generator):
    """All three beside each other, an undirected path and isolated nodes."""
    part = nodes // 5
    parts = [dag(part, generator), directed(part, generator), sampled_trees(part, generator)]
    line = torch.arange(part - 1)
    parts += [torch.stack([torch.cat([line, line + 1]), torch.cat([line + 1, line])])]
    return torch.cat([p + part * i for i, p in enumerate(parts)], dim=1)


DIRECTED = [dag, directed, sampled_trees, several]


@pytest.fixture(params=[50_000, 0], ids=["factorised", "krylov"])
def method(request, monkeypatch):
    monkeypatch.setattr(grandpp.linalg.singular, "_FACTOR_UP_TO", request.param)


def test_every_closed_class_of_a_directed_graph_keeps_its_own_mean():
    # Node 2 receives from 0 and from 1, which receive nothing: it ends between the two.
    edge_index = torch.tensor([[0, 1], [2, 2]])
    x = torch.tensor([[0.0], [1.0], [5.0]])
    y = GRANDConv(1, time=INF, attention=None, heads=1, learn_alpha=False)(x, edge_index)
    torch.testing.assert_close(y, torch.tensor([[0.0], [1.0], [0.5]]))


@pytest.mark.parametrize("attention", [None, "gat"])
@pytest.mark.parametrize("make_edges", DIRECTED, ids=lambda f: f.__name__)
@pytest.mark.parametrize("seed", [0, 1])
def test_limit_on_directed_graphs_equals_dense_linear_algebra(make_edges, attention, seed, method):
    generator = torch.Generator().manual_seed(seed)
    edge_index = make_edges(200, generator)
    x = torch.randn(200, 8, generator=generator, dtype=torch.float64)
    trusted = torch.rand(200, generator=generator, dtype=torch.float64)
    conv = make(INF, attention=attention)
    field, z0 = conv.bind(x, edge_index, source_index=trusted)
    a = to_dense(field.graph, field.weight).detach()
    expected = dense_limit(a, z0, field.source.detach() / field.alpha.detach())
    y = conv(x, edge_index, source_index=trusted)
    torch.testing.assert_close(y, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("make_edges", DIRECTED, ids=lambda f: f.__name__)
def test_gradients_on_directed_graphs_equal_those_of_a_very_long_time(make_edges, method):
    results = []
    for time, options in ((INF, {}), (4000.0, {"solver": "exact", "rtol": 1e-12})):
        generator = torch.Generator().manual_seed(0)
        edge_index = make_edges(40, generator)
        conv = make(time, attention="gat", learn_gain=True, **options)
        x = torch.randn(40, 8, generator=generator, dtype=torch.float64, requires_grad=True)
        size = edge_index.size(1)
        weight = (torch.rand(size, generator=generator).double() + 0.5).requires_grad_()
        y = conv(x, edge_index, weight, torch.arange(0, 40, 3))
        y.pow(3).sum().backward()
        results.append([y.detach(), x.grad, weight.grad, *(p.grad for p in conv.parameters())])
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-7)


def test_gradients_on_a_directed_graph_pass_gradcheck(method):
    # Two closed classes, {0, 1} and {2}, and three transient nodes.
    edge_index = torch.tensor([[0, 1, 1, 2, 3, 4, 5], [1, 0, 3, 3, 4, 5, 3]])
    torch.manual_seed(0)
    conv = GRANDPPConv(2, time=INF, heads=1, attention="gat", source_gain=0.7).double()
    weight = (torch.rand(7, dtype=torch.float64) + 0.5).requires_grad_()
    x = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    trusted = torch.tensor([0, 1, 3, 4])
    assert torch.autograd.gradcheck(
        lambda a, w: conv(a, edge_index, w, trusted), (x, weight), atol=1e-6
    )


def test_float32_limit_exists_where_every_class_has_one_trusted_node_or_equal_ones():
    edge_index = dag(60, torch.Generator().manual_seed(1))
    for x in (torch.randn(60, 8), torch.full((60, 8), 0.1)):
        conv = make(INF, attention="gat", source_gain=3.0).float()
        assert torch.isfinite(conv(x, edge_index, source_index=torch.arange(0, 60, 4))).all()


def test_linear_solves_that_fail_say_what_failed(monkeypatch):
    monkeypatch.setattr(grandpp.linalg.singular, "_FACTOR_UP_TO", 0)
    monkeypatch.setattr(grandpp.linalg.singular, "_krylov", lambda *_: None)
    edge_index = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 1]])
    x = torch.randn(3, 8).double()
    plain = GRANDConv(8, time=INF, heads=2).double()
    for conv, arguments in ((plain, ()), (make(INF), (None, torch.tensor([0, 1])))):
        with pytest.raises(SolveError, match=r"linear system.*finite time") as caught:
            conv(x, edge_index, *arguments)
        assert caught.value.solution.status is Status.LINEAR_SOLVE_FAILED
    monkeypatch.undo()
    y = plain(x, edge_index)
    monkeypatch.setattr(grandpp.linalg.singular.SingularSystem, "_solve", lambda *_, **__: None)
    with pytest.raises(SolveError, match=r"gradient.*linear system"):
        y.sum().backward()


def test_an_unbalanced_source_at_transient_nodes_alone_has_a_limit():
    edge_index = torch.tensor([[0, 1], [1, 2]])  # 0 receives nothing, 1 and 2 follow
    x = torch.randn(3, 8).double()
    conv = make(INF, source="paper", attention=None, learn_alpha=False)
    y = conv(x, edge_index, source_index=torch.tensor([1, 2]))
    a = dense_random_walk(edge_index, 3)
    s = torch.zeros_like(x)
    s[1:] = x[1:] - x[1:].mean(0)
    torch.testing.assert_close(y, dense_limit(a, x, s))
    torch.testing.assert_close(y, dense_diffusion(a, x, s, 300.0))
    assert conv.solve(x, edge_index, source_index=torch.tensor([0, 2]), throw=False).status is (
        Status.UNBALANCED
    )
