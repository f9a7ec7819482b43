"""The limit T = infinity against absorption probabilities, stationary measures and long times."""

from __future__ import annotations

from dataclasses import replace

import dense_reference as dense
import pytest
import torch
from fuzzing import assert_near, fuzz, gradients
from hypothesis import strategies as st
from strategies import Case, diffusivities, graphs, trust

from grandpp.solvers import SolveError, Status


@st.composite
def endless(draw, layer="grand", **of_graph):
    """Linear diffusion carried to infinity, with a balanced source in ``"grand++"``."""
    options = {**draw(diffusivities(nonlinear=False)), "learn_beta": False}
    options |= {"time": float("inf"), "solver": draw(st.sampled_from(("auto", "steady")))}
    edges = draw(graphs(**of_graph))
    trusted = None
    if layer == "grand++":
        options |= {"source": "balanced", "source_gain": 1.0}
        trusted = draw(trust(edges.num_nodes))
    double, seed = draw(st.sampled_from((True, True, False))), draw(st.integers(0, 2**16))
    return Case(layer, options, edges, draw(st.sampled_from((2, 1))), double, seed, trusted)


def both(case, leaves=False):
    conv, p = case.build(), None
    x, edge_index, weight, *trusted = case.inputs()
    p = dense.leaves(conv)
    wide = x.double()
    if leaves:
        x.requires_grad_(), wide.requires_grad_()
    dense_weight = None if weight is None else weight.double()
    expected = dense.solution(conv, p, wide, edge_index, dense_weight, *trusted)
    return conv, conv(x, edge_index, weight, *trusted), expected, p, x, wide


def tolerance(case):
    return 1e-6 if case.double else 1e-3


@fuzz(40, case=endless())
def test_the_limit_of_diffusion_follows_from_absorption_probabilities(case):
    _, got, expected, *_ = both(case)
    assert_near(got, expected, tolerance(case))


@fuzz(30, case=endless("grand++"))
def test_the_limit_with_a_balanced_source_solves_its_equation(case):
    _, got, expected, *_ = both(case)
    assert_near(got, expected, tolerance(case))


@fuzz(20, case=endless(zero_weights=False))
def test_the_limit_is_that_of_long_times(case):
    # The graphs are so small that every mode has decayed by then; scores far apart may not have.
    case = replace(case, double=True)
    if case.options["attention"] is not None:
        case = case.but(normalization="squareplus")
    conv, late = case.build(), case.but(time=1e3, solver="exact", rtol=1e-12).build()
    inputs = case.inputs()
    assert_near(late(*inputs), conv(*inputs), 1e-4)


@fuzz(30, case=st.one_of(endless(zero_weights=False), endless("grand++", zero_weights=False)))
def test_gradients_of_the_limit(case):
    conv, got, expected, p, x, wide = both(case, leaves=True)
    factor = case.projection()
    mine = {name: v for name, v in conv.named_parameters() if v.requires_grad} | {"x": x}
    theirs = {name: v for name, v in p.items() if v.requires_grad} | {"x": wide}
    found = gradients((factor.to(got.dtype) * got).sum(), mine)
    wanted = gradients((factor * expected).sum(), theirs)
    for name, gradient in found.items():
        assert_near(gradient, wanted[name], 10 * tolerance(case), name)


@fuzz(10, case=endless("grand++", min_nodes=1))
def test_a_source_without_a_limit_is_refused(case):
    trusted = (1.0,) + (0.0,) * (case.graph.num_nodes - 1)
    case = replace(case, trusted=trusted).but(learn_beta=True)
    conv = case.build()
    torch.nn.init.ones_(conv.beta)
    x = case.features() + 3  # nowhere balanced
    solution = conv.solve(x.abs(), *case.inputs()[1:], throw=False)
    assert solution.status is Status.UNBALANCED
    with pytest.raises(SolveError):
        conv(x.abs(), *case.inputs()[1:])
