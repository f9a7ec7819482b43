"""Gradients of every layer under every solver against autograd through the dense equation."""

from __future__ import annotations

import dense_reference as dense
from fuzzing import assert_near, fuzz, gradients
from strategies import CHOICES, cases, graphs, of_slopes

SOLVERS = tuple(name for name in CHOICES if name != "default")


def check(drawn):
    case, conv = drawn.case, drawn.case.build()
    x, edge_index, weight, *trusted = case.inputs()
    inputs = {name: p for name, p in conv.named_parameters() if p.requires_grad}
    inputs["x"] = x.requires_grad_()
    p = dense.leaves(conv)
    wide = {name: v for name, v in p.items() if v.requires_grad}
    wide["x"] = x.detach().double().requires_grad_()
    dense_weight = None
    if weight is not None:
        inputs["edge_weight"] = weight.requires_grad_()
        dense_weight = wide["edge_weight"] = weight.detach().double().requires_grad_()
    factor = case.projection()
    y = conv(x, edge_index, weight, *trusted)
    expected = dense.solution(conv, p, wide["x"], edge_index, dense_weight, *trusted)
    got = gradients((factor.to(y.dtype) * y).sum(), inputs)
    wanted = gradients((factor * expected).sum(), wide)
    assert got.keys() == wanted.keys()
    # A derivative passes through as many solves as the value and loses a digit more.
    tolerance = of_slopes(10 * drawn.choice.tolerance(case), case.options)
    for name, gradient in got.items():
        assert_near(gradient, wanted[name], tolerance, name)


@fuzz(80, drawn=cases(("grand", "cgnn"), solvers=SOLVERS))
def test_gradients_of_diffusion(drawn):
    check(drawn)


@fuzz(50, drawn=cases(("grand++",), solvers=SOLVERS))
def test_gradients_of_diffusion_with_a_source(drawn):
    check(drawn)


@fuzz(50, drawn=cases(("heavy_ball",), solvers=SOLVERS))
def test_gradients_of_heavy_balls(drawn):
    check(drawn)


@fuzz(
    30,
    drawn=cases(
        ("grand",), graph=graphs(min_nodes=2, weighted=True), solvers=SOLVERS, nonlinear=False
    ),
)
def test_gradients_to_weights_where_some_are_zero(drawn):
    check(drawn)
