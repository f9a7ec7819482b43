"""Layers solved together: the states and gradients of each by itself."""

from __future__ import annotations

import pytest
import torch

from grandpp.layers import CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.layers.batched import can_batch, solve_batched
from grandpp.solvers import SolveError

OPTIONS = {"time": 6.0, "solver": "exact", "rtol": 1e-12}
MAKERS = {
    "grand": lambda: GRANDConv(8, **OPTIONS),
    "walk": lambda: GRANDConv(8, attention=None, time=40.0, solver="exact", rtol=1e-12),
    "restart": lambda: GRANDConv(8, learn_beta=True, **OPTIONS),
    "grand++": lambda: GRANDPPConv(8, learn_gain=True, **OPTIONS),
    "paper": lambda: GRANDPPConv(8, source="paper", initial="zero", **OPTIONS),
}


def layers(kind, count=4):
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        layer = MAKERS[kind]().double()
        for name, parameter in layer.named_parameters():
            if name != "source.gain":
                torch.nn.init.normal_(parameter, std=0.5)
        made.append(layer)
    return made


def bind(layer, seed, edges):
    torch.manual_seed(seed)
    x = torch.randn(34, 8, dtype=torch.float64)
    if isinstance(layer, GRANDPPConv):
        return layer.bind(x, edges, None, torch.randperm(34)[:6])
    return layer.bind(x, edges)


@pytest.mark.parametrize("kind", MAKERS)
def test_states_and_gradients_are_those_of_separate_solves(karate, kind):
    gradients, states = [], []
    for joint in (True, False):
        made = layers(kind)
        bound = [bind(layer, 10 + seed, karate) for seed, layer in enumerate(made)]
        if joint:
            solved = solve_batched(made[0], bound)
        else:
            solved = [solve_batched(a, [b])[0] for a, b in zip(made, bound, strict=True)]
        states.append([s.features for s in solved])
        sum((y * y.detach().cos()).sum() for y in states[-1]).backward()
        gradients.append([[p.grad for p in layer.parameters()] for layer in made])
    for one, other in zip(*states, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    for one, other in zip(*gradients, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_a_small_copy_beside_large_ones_is_as_accurate_as_by_itself(karate):
    made = [GRANDConv(8, time=6.0, solver="exact", rtol=1e-5).double() for _ in range(3)]
    for layer, rate in zip(made, (3.0, 0.0, -3.0), strict=True):
        torch.nn.init.constant_(layer.alpha_logit, rate)
    bound = [bind(layer, 1, karate) for layer in made]
    scales = (1e6, 1e-6, 1.0)
    bound = [(field, scale * y) for (field, y), scale in zip(bound, scales, strict=True)]
    for layer, solved, (field, y) in zip(made, solve_batched(made[0], bound), bound, strict=True):
        layer.solver = type(layer.solver)(rtol=1e-13)
        exact = solve_batched(layer, [(field, y)])[0].features
        error = (solved.features - exact).abs().max() / y.abs().max()
        assert error.item() <= 1e-5


def test_all_copies_count_the_products_of_the_fastest(karate):
    made = layers("grand")
    bound = [bind(layer, seed, karate) for seed, layer in enumerate(made)]
    alone = [solve_batched(a, [b])[0].stats for a, b in zip(made, bound, strict=True)]
    joint = solve_batched(made[0], bound)
    assert {s.stats.nfe_forward for s in joint} == {max(s.nfe_forward for s in alone)}
    assert len({id(s.stats) for s in joint}) == 1


@pytest.mark.parametrize(("channels", "sizes"), [(8, {5}), (2_500, {2, 3}), (9_000, {1})])
def test_states_beyond_the_cache_are_solved_in_even_groups(channels, sizes, karate):
    """States of 2 kB, 0.7 MB and 2.4 MB each, in groups of at most about 2 MB."""
    layer = GRANDConv(channels, attention=None, time=2.0, solver="exact").double()
    inputs = torch.randn(5, 34, channels, dtype=torch.float64)
    solved = solve_batched(layer, [layer.bind(x, karate) for x in inputs])
    assert {sum(s.stats is t.stats for t in solved) for s in solved} == sizes
    for x, s in zip(inputs, solved, strict=True):
        torch.testing.assert_close(s.features, layer(x, karate))


def test_no_layer_gives_no_result():
    assert solve_batched(GRANDConv(8, solver="exact"), []) == []


def test_a_solve_that_fails_is_an_error_of_all(karate):
    made = layers("grand", 2)
    bound = [bind(layer, seed, karate) for seed, layer in enumerate(made)]
    field, y = bound[1]
    field.weight.data.fill_(torch.nan)
    with pytest.raises(SolveError, match="NaN or infinite"):
        solve_batched(made[0], [bound[0], (field, y)])


def test_only_linear_diffusion_with_the_exact_solver_can_be_joined(karate):
    assert can_batch(GRANDConv(8, solver="exact"))
    assert can_batch(GRANDPPConv(8, solver="exact"))
    others = [GRANDConv(8), GRANDConv(8, mode="nonlinear"), GRANDConv(8, time=float("inf")),
              HeavyBallConv(8, solver="exact"), CGNNConv(8, solver="exact"),
              torch.nn.Linear(8, 8)]  # fmt: skip
    assert not any(map(can_batch, others))
    with pytest.raises(ValueError, match="linear diffusion with solver='exact'"):
        solve_batched(others[0], [])
