"""What all diffusion layers share: the choice of a solver and its options."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.layers.base import DiffusionConv
from grandpp.solvers import Auto, Proximal, Steady, TorchDiffEq


def carried(conv, x, edges, save_at=None, throw=True):
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


def test_the_field_is_carried_from_zero_to_time_and_saved_where_asked(karate, features):
    conv = DiffusionConv(8, time=2.0, attention=None, learn_alpha=False).double()
    solution = carried(conv, features, karate, save_at=[0.0, 1.0, 2.0])
    assert solution.ts.tolist() == [0.0, 1.0, 2.0]
    assert torch.equal(solution.ys[0], features)
    half = DiffusionConv(8, time=1.0, attention=None, learn_alpha=False).double()
    torch.testing.assert_close(
        carried(half, solution.ys[1], karate).y, solution.ys[2], rtol=0, atol=1e-5
    )
    assert torch.equal(conv.position(solution.y), solution.y)


def test_a_failure_is_returned_where_it_is_not_to_be_thrown(karate, features):
    conv = DiffusionConv(8, time=9.0, solver="dopri5", max_nfe=3).double()
    solution = carried(conv, features, karate, throw=False)
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
