"""The source term: balance, drift and initial states."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from reference import dense_diffusion, dense_random_walk, to_dense

from grandpp.fields import GraphDiffusion, TrustedSource, stationary_measure, trust_weights
from grandpp.graph import degree
from grandpp.solvers import solve

INDEX = torch.tensor([0, 33, 5])


def bind(x, edge_index, kind="balanced", initial="features", gain=1.0, **kwargs):
    kwargs.setdefault("attention", None)
    kwargs.setdefault("learn_alpha", False)
    torch.manual_seed(0)
    diffusion = GraphDiffusion(8, heads=2, **kwargs).double()
    for parameter in diffusion.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    source = TrustedSource(kind, gain, initial).double()
    return source(diffusion.prepare(x, edge_index), x, INDEX)


def test_both_sources_equal_their_formulas(karate, features):
    d = torch.bincount(karate[1], minlength=34).double() + 1
    deviation = features[INDEX] - features[INDEX].mean(0)
    for kind, expected in (("paper", deviation), ("balanced", deviation / d[INDEX, None])):
        field, _ = bind(features, karate, kind, gain=0.3)
        torch.testing.assert_close(field.source[INDEX], 0.3 * expected)
        others = torch.ones(34, dtype=torch.bool).index_fill(0, INDEX, False)
        assert field.source[others].abs().max() == 0


def test_balanced_source_has_no_stationary_mass_and_the_papers_has(karate, features):
    for attention in (None, "scaled_dot"):
        drift = {}
        for kind in ("balanced", "paper"):
            field, _ = bind(features, karate, kind, attention=attention)
            pi = stationary_measure(field.graph, field.weight, field.prior)
            drift[kind] = (pi.unsqueeze(-1) * field.source).sum(0).abs().max().item()
        assert drift["balanced"] < 1e-9
        assert drift["paper"] > 1e-2


def test_balance_holds_in_every_component_and_a_lone_trusted_node_gives_no_source(karate, features):
    edge_index = torch.cat([karate, karate + 34], dim=1)
    x = torch.cat([features, features.flip(0), features[:1]])
    torch.manual_seed(0)
    diffusion = GraphDiffusion(8, attention="gat").double()
    index = torch.tensor([1, 2, 40, 50, 60, 68])
    field, _ = TrustedSource(gain=1.0).double()(diffusion.prepare(x, edge_index), x, index)
    pi = stationary_measure(field.graph, field.weight, field.prior)
    mass = pi.unsqueeze(-1) * field.source
    assert mass[:34].sum(0).abs().max() < 1e-9
    assert mass[34:68].sum(0).abs().max() < 1e-9
    assert field.source[68].abs().max() < 1e-12
    assert field.source[40].abs().max() > 1e-3


def test_weights_of_trust_scale_the_source_and_keep_the_balance(karate, features):
    torch.manual_seed(0)
    diffusion = GraphDiffusion(8, attention="scaled_dot").double()
    field = diffusion.prepare(features, karate)
    pi = stationary_measure(field.graph, field.weight, field.prior)
    for kind in ("balanced", "paper"):
        source = TrustedSource(kind, 1.0).double()
        mask = torch.zeros(34, dtype=torch.float64).index_fill(0, INDEX, 1.0)
        by_index, by_weight = (source(field, features, i)[0].source for i in (INDEX, mask))
        torch.testing.assert_close(by_weight, by_index)
        # Halving every weight keeps the mean and halves the source.
        torch.testing.assert_close(source(field, features, mask / 2)[0].source, by_index / 2)
    trust = torch.linspace(0, 1, 34, dtype=torch.float64)
    bound, _ = TrustedSource("balanced", 1.0).double()(field, features, trust)
    assert (pi.unsqueeze(-1) * bound.source).sum(0).abs().max() < 1e-9
    assert bound.source[0].abs().max() == 0 and bound.source[33].abs().max() > 0


def test_shifted_and_zero_initial_states_satisfy_equation_4_11(karate, features):
    d = torch.bincount(karate[1], minlength=34).double() + 1
    deviation = features[INDEX] - features[INDEX].mean(0)
    expected = (deviation / d[INDEX, None]).sum(0)
    for initial in ("shifted", "zero"):
        _, z0 = bind(features, karate, "paper", initial)
        torch.testing.assert_close(z0.sum(0), expected)
    torch.testing.assert_close(z0[INDEX], deviation / d[INDEX, None])
    shifted = bind(features, karate, "paper", "shifted")[1]
    assert (shifted - features).std(0).max() < 1e-12
    assert torch.equal(bind(features, karate, "paper", "features")[1], features)


def test_few_trusted_nodes_are_known_to_the_solver_while_the_source_is_theirs(karate, features):
    field, z0 = bind(features, karate, attention="gat")
    assert field.source_nodes.tolist() == [0, 5, 33]
    assert torch.equal(field.source_rows, field.source[[0, 5, 33]])
    other = replace(field, source=torch.ones_like(features))
    assert other.source_nodes is None
    assert other.source_rows is None
    results = []
    for known in (True, False):
        f = field if known else replace(field, located=None)
        y = solve(f, z0, (0.0, 3.0), solver="exact", rtol=1e-10).y
        results.append([y, torch.autograd.grad(y.square().sum(), f.weight, retain_graph=True)[0]])
    torch.testing.assert_close(*results)
    everywhere, _ = bind(features, karate, attention="gat", learn_beta=True)
    assert everywhere.source_nodes is None


def test_no_trusted_nodes_mean_no_source(karate, features):
    diffusion = GraphDiffusion(8).double()
    for index in (None, torch.empty(0, dtype=torch.int64), torch.zeros(34, dtype=torch.bool)):
        field, z0 = TrustedSource().double()(diffusion.prepare(features, karate), features, index)
        assert field.source.abs().max() == 0
        assert torch.equal(z0, features)


def test_gain_and_alpha_scale_the_source_and_beta_adds_to_it(karate, features):
    plain, _ = bind(features, karate, gain=1.0)
    field, _ = bind(features, karate, gain=-2.0, learn_alpha=True, learn_beta=True)
    torch.manual_seed(0)
    alpha, beta = (
        torch.nn.init.normal_(torch.empty((), dtype=torch.float64), std=0.7) for _ in range(2)
    )
    expected = -2.0 * alpha.sigmoid() * plain.source + beta * features
    torch.testing.assert_close(field.source, expected)


def test_gradient_to_features_weights_and_gain_passes_gradcheck_with_attention(path):
    torch.manual_seed(0)
    diffusion = GraphDiffusion(2, attention="gat", heads=1).double()
    source = TrustedSource(learn_gain=True).double()
    y = torch.randn(4, 2, dtype=torch.float64)

    def run(x, weight, gain):
        with torch.no_grad():
            source.gain.copy_(gain)
        field, z0 = source(diffusion.prepare(x, path, weight), x, torch.tensor([0, 3]))
        return field(torch.zeros(()), y), z0

    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    weight = (torch.rand(6, dtype=torch.float64) + 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: run(a, b, 0.7), (x, weight), atol=1e-5)


def test_dense_poisson_equation_has_the_balanced_source_as_right_hand_side(karate, features):
    # Consistency of (I - A) z = s is exactly that s has no degree-weighted mass.
    field, _ = bind(features, karate)
    laplacian = torch.eye(34, dtype=torch.float64) - dense_random_walk(karate, 34)
    z = torch.linalg.pinv(laplacian) @ field.source
    torch.testing.assert_close(laplacian @ z, field.source, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (torch.zeros(3, dtype=torch.bool), ValueError, r"shape \[34\]"),
        (torch.tensor([0.5]), ValueError, r"floating .* \[34\] \(got \[1\]\)"),
        (torch.full((34,), 1.5), ValueError, r"\[0, 1\]"),
        (torch.full((34,), float("nan")), ValueError, r"\[0, 1\]"),
        (torch.tensor([[1]]), ValueError, "indices"),
        (torch.zeros(34, dtype=torch.uint8), ValueError, r"uint8.*\.bool\(\)"),
        (torch.tensor([3, 5], dtype=torch.uint8), ValueError, r"uint8.*\.bool\(\)"),
        (torch.zeros(34, dtype=torch.int64), ValueError, r"zeros and ones.*\.bool\(\)"),
        (torch.arange(34) % 2, ValueError, r"zeros and ones.*nonzero"),
        (torch.tensor([34]), IndexError, r"\[0, 34\)"),
        (torch.tensor([-1]), IndexError, "-1"),
    ],
)
def test_malformed_trusted_nodes_are_refused_in_words(index, error, words):
    with pytest.raises(error, match=words):
        trust_weights(index, 34, torch.zeros(1))


def test_repeated_indices_count_once_and_few_zeros_and_ones_are_indices():
    weights = trust_weights(torch.tensor([5, 2, 5, 2]), 34, torch.zeros(1))
    assert weights.nonzero().view(-1).tolist() == [2, 5] and weights.max() == 1
    assert trust_weights(torch.tensor([0, 1]), 34, torch.zeros(1)).sum() == 2
    assert trust_weights(torch.tensor([1, 0]), 2, torch.zeros(1)).sum() == 2
    assert trust_weights(torch.arange(34, dtype=torch.int32), 34, torch.zeros(1)).sum() == 34


def directed_edges(nodes, edges, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(nodes, (2, edges), generator=generator)


@pytest.mark.parametrize("attention", [None, "scaled_dot", "gat"])
@pytest.mark.parametrize("time", [0.3, 8.0, 40.0])
def test_a_balanced_source_no_longer_moves_the_mean_at_the_end(attention, time, karate):
    # Two undirected components, a directed graph with closed classes and transient nodes.
    edge_index = torch.cat([karate, karate + 34, directed_edges(30, 45, 3) + 68], dim=1)
    x = torch.randn(98, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    diffusion = GraphDiffusion(8, heads=2, attention=attention).double()
    for parameter in diffusion.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    plain = diffusion.prepare(x, edge_index)
    source = TrustedSource(gain=1.0)
    field, _ = source(plain, x, torch.arange(0, 98, 3), time=time)
    classes = field.graph.classes
    assert not classes.all_closed
    a, alpha = to_dense(field.graph, field.weight).detach(), field.alpha.detach()
    degrees = to_dense(field.graph, field.prior).sum(dim=1) * classes.closed
    s, tau = field.source.detach() / alpha, float(alpha * time)
    added = [
        dense_diffusion(a, x, s, t) - dense_diffusion(a, x, 0 * s, t)
        for t in (tau - 1e-4, tau + 1e-4)
    ]
    slope = (added[1] - added[0]) / 2e-4
    drift = classes.groups.sum(degrees.unsqueeze(-1) * slope)
    assert drift[classes.closed].abs().max() < 1e-6
    assert added[0].abs().max() > 1e-2


def test_transient_nodes_are_compared_with_the_plain_mean_of_their_component():
    # 0 and 1 receive nothing; 2, 3 follow them, and 4 <-> 5 are another component.
    edge_index = torch.tensor([[0, 1, 2, 4, 5], [2, 2, 3, 5, 4]])
    x = torch.randn(6, 8).double()
    diffusion = GraphDiffusion(8, attention=None, learn_alpha=False).double()
    index = torch.tensor([0, 2, 3, 4, 5])
    field, _ = TrustedSource(gain=1.0)(diffusion.prepare(x, edge_index), x, index, time=3.0)
    d = torch.tensor([1.0, 1.0, 3.0, 2.0, 2.0, 2.0]).double().unsqueeze(-1)
    mean = x[[0, 2, 3]].mean(0)
    torch.testing.assert_close(field.source[2:4], (x[2:4] - mean) / d[2:4])
    assert field.source[:2].abs().max() == 0  # alone in their closed classes, or not trusted
    torch.testing.assert_close(field.source[4:], (x[4:] - x[4:].mean(0)) / 2)


def test_walk_on_an_undirected_graph_costs_no_products(karate, features, monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr("grandpp.fields.source.walk_measure", refuse)
    diffusion = GraphDiffusion(8, attention=None).double()
    field, _ = TrustedSource(gain=1.0)(diffusion.prepare(features, karate), features, INDEX, time=9)
    mass = degree(field.graph, field.prior).unsqueeze(-1) * field.source
    assert mass.sum(0).abs().max() < 1e-12


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_gradient_at_a_finite_time_passes_gradcheck_on_a_directed_graph(mode):
    edge_index = torch.tensor([[0, 1, 2, 0, 3, 4], [1, 0, 0, 2, 4, 3]])
    torch.manual_seed(0)
    diffusion = GraphDiffusion(2, attention="gat", heads=1, mode=mode).double()
    source = TrustedSource(gain=0.7)

    def run(x, weight, time, logit):
        field = diffusion.prepare(x, edge_index, weight)
        field = replace(field, alpha=logit.sigmoid())
        return source(field, x, torch.tensor([0, 1, 2, 4]), time=time)[0].source

    x = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    weight = (torch.rand(6, dtype=torch.float64) + 0.5).requires_grad_()
    time, logit = (torch.tensor(v).double().requires_grad_() for v in (3.0, 0.4))
    assert torch.autograd.gradcheck(run, (x, weight, time, logit), atol=1e-6)


@pytest.mark.parametrize("walk", [True, False])
def test_gradient_to_weights_of_the_random_walk_is_that_of_single_edges(walk, karate):
    edge_index = karate if walk else directed_edges(34, 80, 0)
    diffusion = GraphDiffusion(2, attention=None, learn_alpha=False).double()
    x = torch.randn(34, 2).double()
    weight = torch.ones(edge_index.size(1), dtype=torch.float64).requires_grad_()

    def run(w):
        field = diffusion.prepare(x, edge_index, w)
        return TrustedSource(gain=1.0)(field, x, INDEX, time=2.0)[0].source[INDEX]

    assert torch.autograd.gradcheck(run, (weight,), atol=1e-6)


@pytest.mark.parametrize("kind", ["balanced", "paper"])
@pytest.mark.parametrize("initial", ["features", "shifted", "zero"])
def test_graphs_of_a_batch_do_not_see_each_other(kind, initial, karate, features):
    torch.manual_seed(0)
    diffusion = GraphDiffusion(8, attention="gat").double()
    source = TrustedSource(kind, 1.0, initial)
    edges = [karate, directed_edges(20, 30, 0), torch.empty(2, 0, dtype=torch.int64)]
    xs = [features, 3 + torch.randn(20, 8).double(), torch.randn(2, 8).double()]
    trusted = [torch.rand(len(x)).double() for x in xs]
    starts = [0, 34, 54]
    batch = torch.repeat_interleave(torch.tensor([0, 1, 5]), torch.tensor([34, 20, 2]))
    edge_index = torch.cat([e + n for e, n in zip(edges, starts, strict=True)], dim=1)
    x = torch.cat(xs)
    field, z0 = source(
        diffusion.prepare(x, edge_index), x, torch.cat(trusted), time=5.0, batch=batch
    )
    for e, one, trust, n in zip(edges, xs, trusted, starts, strict=True):
        alone, z0_alone = source(diffusion.prepare(one, e), one, trust, time=5.0)
        torch.testing.assert_close(field.source[n : n + len(one)], alone.source)
        torch.testing.assert_close(z0[n : n + len(one)], z0_alone)


@pytest.mark.parametrize(
    "batch", [torch.zeros(33, dtype=torch.int64), torch.zeros(34), torch.zeros(34).bool()]
)
def test_a_malformed_batch_is_refused_in_words(batch, karate, features):
    field = GraphDiffusion(8).double().prepare(features, karate)
    with pytest.raises(ValueError, match=r"'batch'.*int64 \[34\] \(got"):
        TrustedSource()(field, features, INDEX, batch=batch)


@pytest.mark.parametrize(
    "arguments", [("poisson",), ("paper", float("nan")), ("paper", 1.0, "ones")]
)
def test_wrong_choices_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        TrustedSource(*arguments)


def test_a_batch_that_is_no_tensor_is_refused_in_words(karate, features):
    field = GraphDiffusion(8).double().prepare(features, karate)
    with pytest.raises(TypeError, match=r"'batch' to be a tensor .*got list"):
        TrustedSource()(field, features, INDEX, batch=[0] * 34)
