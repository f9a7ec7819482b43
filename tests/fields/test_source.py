"""The source term: balance, drift and initial states."""

from __future__ import annotations

import pytest
import torch
from reference import dense_random_walk

from grandpp.fields import GraphDiffusion, TrustedSource, stationary_measure
from grandpp.fields.source import trust_weights

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
        (torch.tensor([34]), IndexError, r"\[0, 34\)"),
        (torch.tensor([-1]), IndexError, "-1"),
    ],
)
def test_malformed_trusted_nodes_are_refused_in_words(index, error, words):
    with pytest.raises(error, match=words):
        trust_weights(index, 34, torch.zeros(1))


@pytest.mark.parametrize(
    "arguments", [("poisson",), ("paper", float("nan")), ("paper", 1.0, "ones")]
)
def test_wrong_choices_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        TrustedSource(*arguments)
