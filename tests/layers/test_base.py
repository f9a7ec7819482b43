"""What all diffusion layers share: the choice of a solver and its options."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from grandpp.fields import NonFiniteFeaturesError
from grandpp.layers import CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.layers.base import DiffusionConv
from grandpp.solvers import Auto, Proximal, SolveError, Steady, TorchDiffEq
from grandpp.training.memory import PeakMemory


def solved(conv, x, edges, save_at=None, throw=True):
    return conv._integrate(conv.prepare(x, edges), x, save_at, throw)


@pytest.mark.parametrize(
    ("options", "solver"),
    [
        ({}, Auto()),
        ({"solver": "dopri5", "rtol": 1e-3}, TorchDiffEq(rtol=1e-3)),
        ({"solver": "rk4", "step_size": 0.5, "gradient": "checkpoint"},
         TorchDiffEq("rk4", step_size=0.5, gradient="checkpoint")),
        ({"solver": "prox_bdf2", "max_nfe": 7}, Proximal("prox_bdf2", max_nfe=7)),
        ({"solver": Auto(rtol=0.1)}, Auto(rtol=0.1)),
        ({"time": math.inf}, Steady()),
        ({"time": math.inf, "solver": "dopri5"}, Steady()),
    ],
)  # fmt: skip
def test_options_that_are_given_reach_the_solver_and_others_stay_its_own(options, solver):
    assert DiffusionConv(4, **options).solver == solver


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"time": -1.0}, ValueError, r"'time'.*got -1"),
        ({"time": math.nan}, ValueError, "'time'.*got nan"),
        ({"time": None}, TypeError, r"'time'.*scalar tensor \(got NoneType\)"),
        ({"time": "1"}, TypeError, r"'time'.*scalar tensor \(got str\)"),
        ({"time": torch.ones(2)}, TypeError, r"'time'.*shape \[2\]"),
        ({"solver": "steady"}, ValueError, "time=inf alone.*time=1"),
        ({"time": math.inf, "solver": Auto()}, ValueError, "solver='auto'"),
        ({"mode": "nonlinear", "solver": "exact"}, ValueError, "mode='linear'"),
        ({"mode": "nonlinear", "time": math.inf}, ValueError, "mode='linear'"),
        ({"solver": "euler", "rtol": 0.1}, TypeError, "step_size.*got rtol"),
        ({"solver": "exact", "gradient": "adjoint"}, TypeError, "got gradient"),
    ],
)
def test_what_does_not_fit_is_refused_at_construction(options, error, words):
    with pytest.raises(error, match=words):
        DiffusionConv(4, **options)


def test_the_field_is_solved_from_zero_to_time_and_saved_where_requested(karate, features):
    conv = DiffusionConv(8, time=2.0, attention=None, learn_alpha=False).double()
    solution = solved(conv, features, karate, save_at=[0.0, 1.0, 2.0])
    assert solution.ts.tolist() == [0.0, 1.0, 2.0]
    assert torch.equal(solution.ys[0], features)
    half = DiffusionConv(8, time=1.0, attention=None, learn_alpha=False).double()
    torch.testing.assert_close(
        solved(half, solution.ys[1], karate).y, solution.ys[2], rtol=0, atol=1e-5
    )
    assert torch.equal(conv.position(solution.y), solution.y)


def test_a_failure_is_returned_where_it_is_not_to_be_thrown(karate, features):
    conv = DiffusionConv(8, time=9.0, solver="dopri5", max_nfe=3).double()
    solution = solved(conv, features, karate, throw=False)
    assert not solution.successful
    assert solution.stats.nfe_forward == 3


def test_the_text_names_every_choice():
    text = repr(
        DiffusionConv(
            8, time=2.5, mode="nonlinear", attention="cosine", heads=2, normalization="squareplus",
            self_loop_weight=0.5, learn_alpha=False, learn_beta=True, solver="dopri5", atol=0.125,
        )
    )  # fmt: skip
    for word in (
        "DiffusionConv(8, time=2.5, mode=nonlinear", "attention=cosine", "heads=2",
        "attention_channels=8", "normalization=squareplus", "self_loop_weight=0.5",
        "learn_alpha=False", "learn_beta=True", "dopri5", "atol=0.125",
    ):  # fmt: skip
        assert word in text
    assert "attention=None" in repr(DiffusionConv(8, attention=None))
    assert "heads" not in repr(DiffusionConv(8, attention=None))


LAYERS = [GRANDConv, GRANDPPConv, HeavyBallConv, CGNNConv]


@pytest.mark.parametrize("solver", ["auto", "dopri5", "tsit5", "rk4", "prox_bdf2"])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_time_that_is_a_parameter_is_learned_and_printed(layer, solver, karate, features):
    options = {"solver": solver, "time": torch.nn.Parameter(torch.tensor(1.2))}
    options |= {"rtol": 1e-9} if solver in ("auto", "dopri5", "tsit5") else {"step_size": 0.25}
    if solver in ("dopri5", "tsit5"):
        options["atol"] = 1e-10
    conv = layer(8, **options).double()
    assert "time=1.2 (learned)" in repr(conv)
    assert "time" in dict(conv.named_parameters())

    def loss():
        return conv(features, karate).square().sum()

    (grad,) = torch.autograd.grad(loss(), conv.time)
    step = 1e-5
    with torch.no_grad():
        values = []
        for sign in (1, -1):
            conv.time.fill_(1.2 + sign * step)
            values.append(loss())
    slope = (values[0] - values[1]) / (2 * step)
    # Error control takes other steps at another time.
    rtol = 1e-5 if solver in ("auto", "dopri5") else 1e-3
    torch.testing.assert_close(grad, slope, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_learned_time_that_turns_negative_is_said_in_words(layer, karate, features):
    conv = layer(8, time=torch.nn.Parameter(torch.tensor(1.0))).double()
    with torch.no_grad():
        conv.time.fill_(-0.5)
    with pytest.raises(ValueError, match=r"'time' to be 0 or positive \(got -0.5\).*softplus"):
        conv(features, karate)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_parameters_that_are_not_finite_are_named(mode, bad, karate, features):
    found = set()
    for layer, options in (
        (GRANDConv, {"learn_beta": True}),
        (GRANDConv, {"attention": "exp_kernel"}),
        (GRANDConv, {"attention": "gat"}),
        (GRANDPPConv, {"learn_gain": True}),
        (HeavyBallConv, {"kind": "ghbnode", "momentum": "learned"}),
        (GRANDConv, {"time": torch.nn.Parameter(torch.tensor(1.0))}),
    ):
        names = [name for name, _ in layer(8, mode=mode, **options).named_parameters()]
        for name in names:
            conv = layer(8, mode=mode, **options).double()
            with torch.no_grad():
                conv.get_parameter(name).view(-1)[-1] = bad
            with pytest.raises(NonFiniteFeaturesError, match=f"inf in '{name}'.*learning rate"):
                conv(features, karate)
            found.add(name)
            if name == "time":
                with torch.no_grad():
                    options["time"].fill_(1.0)
    assert {"alpha_logit", "beta", "source.gain", "dynamics.omega", "time"} <= found


def test_a_long_time_beyond_the_budget_names_the_limit(karate, features):
    conv = GRANDConv(8, time=1e6).double()
    with pytest.raises(SolveError, match=r"budget was used up.*time=float\('inf'\)"):
        conv(features, karate)
    assert torch.isfinite(GRANDConv(8, time=float("inf")).double()(features, karate)).all()


def test_weights_out_of_the_range_of_the_features_are_refused_by_every_layer(karate, features):
    for layer in LAYERS:
        for size in (1e60, 1e-60):
            weight = torch.full((156,), size, dtype=torch.float64)
            options = {} if layer is CGNNConv else {"self_loop_weight": 0.0}
            with pytest.raises(ValueError, match=r"range of torch\.float32"):
                layer(8, **options)(features.float(), karate, weight)
            wide = layer(8, **options).double()(features, karate, weight)
            plain = layer(8, **options).double()(features, karate)
            assert torch.isfinite(wide).all()
            assert wide.shape == plain.shape


def test_a_span_beyond_every_budget_is_refused_before_it_costs_memory():
    edge_index = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 0, 2, 3]])
    with PeakMemory(torch.device("cpu")) as before:
        pass
    with PeakMemory(torch.device("cpu")) as memory, pytest.raises(SolveError, match="budget"):
        GRANDPPConv(8, time=1e9)(torch.randn(4, 8), edge_index, None, torch.tensor([0]))
    assert memory.mib < before.mib + 500  # a coefficient per product would take 4 GiB


def test_a_time_of_one_entry_is_no_scalar():
    with pytest.raises(TypeError, match=r"scalar tensor \(got a tensor of shape \[1\]"):
        GRANDConv(8, time=torch.tensor([2.0]))


@pytest.mark.filterwarnings("error")
def test_a_learned_time_warns_of_nothing():
    conv = GRANDPPConv(8, time=torch.nn.Parameter(torch.tensor(2.0)))
    edge_index = torch.tensor([[0, 1, 2], [1, 2, 0]])
    conv(torch.randn(3, 8), edge_index, source_index=torch.tensor([0])).sum().backward()
    assert conv.time.grad is not None


@pytest.mark.parametrize(
    ("make", "name", "kind"),
    [
        (lambda: GRANDConv(3.5), "channels", "float"),
        (lambda: GRANDConv("3"), "channels", "str"),
        (lambda: GRANDConv(True), "channels", "bool"),
        (lambda: GRANDConv(4, heads=1.5), "heads", "float"),
        (lambda: GRANDConv(4, attention_channels=8.0), "attention_channels", "float"),
        (lambda: GRANDConv(4, self_loop_weight="1"), "self_loop_weight", "str"),
        (lambda: GRANDConv(4, self_loop_weight=None), "self_loop_weight", "NoneType"),
        (lambda: GRANDPPConv(4, source_gain="1"), "source_gain", "str"),
        (lambda: HeavyBallConv(4, source="paper", source_gain=None), "source_gain", "NoneType"),
        (lambda: HeavyBallConv(4, gamma="1"), "gamma", "str"),
        (lambda: HeavyBallConv(4, max_gamma=None), "max_gamma", "NoneType"),
        (lambda: HeavyBallConv(4, kind="ghbnode", xi="1"), "xi", "str"),
        (lambda: CGNNConv(4, alpha="1"), "alpha", "str"),
        (lambda: CGNNConv(4, alpha=None), "alpha", "NoneType"),
        (lambda: GRANDConv(4, rtol="1e-3"), "rtol", "str"),
        (lambda: GRANDConv(4, atol=1j), "atol", "complex"),
        (lambda: GRANDConv(4, solver="exact", rtol="1e-3"), "rtol", "str"),
        (lambda: GRANDConv(4, solver="tsit5", rtol="1e-3"), "rtol", "str"),
        (lambda: GRANDConv(4, solver="dormand_prince", rtol="1e-3"), "rtol", "str"),
        (lambda: GRANDConv(4, solver="dopri5", max_nfe="9"), "max_nfe", "str"),
        (lambda: GRANDConv(4, solver="rk4", step_size="1"), "step_size", "str"),
        (lambda: GRANDConv(4, solver="prox_be", step_size="1"), "step_size", "str"),
        (lambda: GRANDConv(4, solver="prox_adaptive", rtol="1"), "rtol", "str"),
        (lambda: GRANDConv(4, solver="commutator_free", rtol="1"), "rtol", "str"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_by_its_name(make, name, kind):
    with pytest.raises(TypeError, match=rf"expected '?{name}'? to be a.*\(got {kind}\)"):
        make()


def test_numbers_of_other_libraries_are_numbers():
    conv = GRANDConv(
        np.int64(4), heads=np.int32(2), self_loop_weight=np.float32(0.5), rtol=np.float64(1e-3)
    )
    assert conv(torch.ones(2, 4), torch.tensor([[0, 1], [1, 0]])).shape == (2, 4)
