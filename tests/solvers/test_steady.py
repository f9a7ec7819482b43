"""The limit T = infinity against dense linear algebra and against long times."""

from __future__ import annotations

import pytest
import torch
from reference import dense_random_walk

import grandpp.singular
from grandpp.layers import GRANDConv, GRANDPPConv
from grandpp.solvers import SolveError, Status, solve

INDEX = torch.tensor([0, 33, 5])
INF = float("inf")


def make(time, **kwargs):
    torch.manual_seed(0)
    conv = GRANDPPConv(8, time=time, heads=2, source_gain=1.0, **kwargs).double()
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
        monkeypatch.setattr(grandpp.singular, "_FACTOR_UP_TO", 0)
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
