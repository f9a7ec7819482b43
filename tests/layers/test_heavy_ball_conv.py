"""Heavy-ball graph diffusion: exact solutions, limits, conservation, gradients."""

from __future__ import annotations

import pytest
import torch

from grandpp.graph import prepare_graph
from grandpp.layers import GRANDConv, HeavyBallConv
from grandpp.solvers import Status

TIGHT = {"rtol": 1e-10, "atol": 1e-10}
LINEAR = {
    "hbnode": {"kind": "hbnode"},
    "wave": {"kind": "wave"},
    "sonode": {"kind": "sonode"},
    "spring": {"kind": "ghbnode", "activation": "identity"},
}


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(34, 4, generator=generator, dtype=torch.float64)


def make(**options):
    torch.manual_seed(0)
    conv = HeavyBallConv(4, heads=2, **options).double()
    if conv.attention is not None:
        torch.nn.init.normal_(conv.attention.query)
    return conv


def dense_operator(conv, features, edges):
    field = conv.prepare(features, edges)
    a = torch.zeros(34, 34, dtype=torch.float64)
    a[field.csr.row, field.csr.col_long] = field.weight
    return a, field.alpha


@pytest.mark.parametrize("attention", [None, "scaled_dot"])
@pytest.mark.parametrize("name", LINEAR)
def test_linear_kinds_equal_the_exponential_of_the_block_matrix(name, attention, karate, features):
    conv = make(time=7.0, attention=attention, momentum="learned", solver="exact", rtol=1e-11,
                **LINEAR[name])  # fmt: skip
    with torch.no_grad():
        a, alpha = dense_operator(conv, features, karate)
        solution = conv.solve(features, karate)
        kick = conv.momentum(features)
        gamma = conv.dynamics.gamma
        xi = getattr(conv.dynamics, "xi", 0.0)
        eye, zero = torch.eye(34, dtype=torch.float64), torch.zeros(34, 34, dtype=torch.float64)
        block = torch.cat([torch.cat([zero, eye], 1),
                           torch.cat([alpha * (a - eye) - xi * eye, -gamma * eye], 1)])  # fmt: skip
        exact = torch.matrix_exp(7.0 * block) @ torch.cat([features, kick])
    torch.testing.assert_close(solution.y.reshape(68, 4), exact, rtol=0, atol=2e-8)
    torch.testing.assert_close(conv(features, karate), exact[:34], rtol=0, atol=2e-8)
    assert solution.stats.nfe_forward < 120


def test_saved_times_follow_one_another(karate, features):
    for kind in ("hbnode", "wave"):
        conv = make(time=3.0, kind=kind, **TIGHT)
        saved = conv.solve(features, karate, save_at=[0.0, 1.0, 3.0])
        assert saved.ys.shape == (3, 2, 34, 4)
        torch.testing.assert_close(saved.ys[0, 0], features)
        torch.testing.assert_close(saved.ys[0, 1], torch.zeros_like(features))
        conv.time = 1.0
        torch.testing.assert_close(saved.ys[1], conv.solve(features, karate).y)


def test_undamped_oscillation_conserves_its_energy(karate, features):
    conv = make(time=40.0, kind="sonode", attention=None, momentum="learned", **TIGHT)
    with torch.no_grad():
        a, alpha = dense_operator(conv, features, karate)
        saved = conv.solve(features, karate, save_at=[0.0, 3.0, 17.0, 40.0])
    graph = prepare_graph(karate, 34)
    degree = torch.zeros(34, dtype=torch.float64).index_add(
        0, graph.csr.row, torch.ones(graph.csr.row.numel(), dtype=torch.float64)
    )
    energies = [
        0.5 * (degree.unsqueeze(1) * (m * m + alpha * h * (h - a @ h))).sum() for h, m in saved.ys
    ]
    for energy in energies[1:]:
        torch.testing.assert_close(energy, energies[0], rtol=1e-8, atol=0)


def test_strong_damping_recovers_first_order_diffusion(karate, features):
    # gamma h' = (A - I) h + ..., so T = gamma times that of GRAND; the gap falls as 1 / gamma^2.
    gaps = []
    for gamma in (10.0, 40.0):
        ball = make(time=2.0 * gamma, gamma=gamma, attention=None, learn_alpha=False, rtol=1e-9)
        flow = GRANDConv(4, time=2.0, attention=None, learn_alpha=False, rtol=1e-9).double()
        gaps.append(float((ball(features, karate) - flow(features, karate)).abs().max()))
    assert gaps[1] < gaps[0] / 10
    assert gaps[1] < 1e-2


def test_the_source_pushes_the_momentum_and_its_steady_state_is_that_of_grandpp(karate, features):
    trusted = torch.tensor([0, 33])
    ball = make(time=400.0, gamma=1.0, attention=None, source="balanced", source_gain=1.0, **TIGHT)
    with torch.no_grad():
        solution = ball.solve(features, karate, source_index=trusted)
    assert solution.stats.methods == [(0.0, "exact")]
    field = ball.prepare(features, karate)
    field, _ = ball.source(field, features, trusted)
    # At rest the force of the springs balances the source.
    rest = field(torch.zeros(()), solution.y[0]).detach()
    assert float(rest.abs().max()) < 1e-6
    assert float(solution.y[1].abs().max()) < 1e-6


@pytest.mark.parametrize("name", [*LINEAR, "tanh", "adamnode"])
def test_every_kind_runs_in_both_modes_and_auto_agrees_with_dopri5(name, karate, features):
    kinds = {**LINEAR, "tanh": {"kind": "ghbnode"}, "adamnode": {"kind": "adamnode"}}
    for mode in ("linear", "nonlinear"):
        ours, other = (
            make(time=2.0, mode=mode, solver=s, rtol=1e-7, atol=1e-7, **kinds[name])
            for s in ("auto", "dopri5")
        )
        torch.testing.assert_close(
            ours(features, karate), other(features, karate), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("attention", [None, "scaled_dot"])
def test_exact_gradients_equal_those_through_dopri5(name, attention, karate, features):
    grads = []
    for solver in ("exact", "dopri5"):
        options = {"rtol": 1e-10} if solver == "exact" else {"rtol": 1e-9, "atol": 1e-9}
        conv = make(time=2.0, attention=attention, solver=solver, momentum="learned",
                    **options, **LINEAR[name])  # fmt: skip
        x = features.clone().requires_grad_()
        conv(x, karate).pow(3).sum().backward()
        named = {n: p.grad for n, p in conv.named_parameters() if p.grad is not None}
        grads.append({"x": x.grad, **named})
    assert grads[0].keys() == grads[1].keys()
    expected = {"x", "alpha_logit", "momentum.weight"}
    assert expected | ({"attention.query"} if attention else set()) <= grads[0].keys()
    if name != "sonode":
        assert "dynamics.omega" in grads[0]
    for key, got in grads[0].items():
        torch.testing.assert_close(got, grads[1][key], rtol=1e-5, atol=1e-5)


def test_a_long_undamped_solve_divides_its_span_instead_of_losing_digits(karate, features):
    conv = make(time=60.0, kind="sonode", learn_alpha=False, solver="exact", rtol=1e-9)
    with torch.no_grad():
        a, _ = dense_operator(conv, features, karate)
        eye, zero = torch.eye(34, dtype=torch.float64), torch.zeros(34, 34, dtype=torch.float64)
        block = torch.cat([torch.cat([zero, eye], 1), torch.cat([a - eye, zero], 1)])
        exact = (torch.matrix_exp(60.0 * block)[:34, :34]) @ features
        y = conv(features, karate)
    assert float((y - exact).abs().max() / exact.abs().max()) < 1e-6


def test_a_budget_is_kept(karate, features):
    conv = make(time=1e4, kind="sonode", solver="exact", max_nfe=100)
    solution = conv.solve(features, karate, throw=False)
    assert solution.status is Status.MAX_NFE
    assert solution.stats.nfe_forward == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "light_ball"}, "'kind' to be one of hbnode"),
        ({"momentum": "random"}, "'momentum' to be one of zero"),
        ({"time": float("inf")}, "finite 'time'"),
        ({"kind": "adamnode", "gamma": 1.0}, "no 'gamma' for kind='adamnode'"),
        ({"xi": 1.0}, "for kind='ghbnode'"),
        ({"gamma": -1.0}, "not negative"),
        ({"source": "free"}, "free"),
    ],
)
def test_wrong_choices_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        HeavyBallConv(4, **options)


def test_trusted_nodes_without_a_source_are_refused(karate, features):
    with pytest.raises(ValueError, match="source=None"):
        make()(features, karate, source_index=torch.tensor([0]))


def test_the_repr_names_what_changes_the_mathematics():
    text = repr(make(kind="hbnode", source="paper", momentum="learned"))
    for word in ("hbnode", "gamma=2 (learned)", "paper", "momentum=learned", "attention"):
        assert word in text
