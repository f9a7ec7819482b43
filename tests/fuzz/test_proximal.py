"""Backward Euler against its own steps on the dense equation.

The other proximal methods are so accurate that they are compared with the exact solution.
"""

from __future__ import annotations

import math

import dense_reference as dense
from fuzzing import assert_near, fuzz, gradients
from strategies import Proximal, cases

STEP = 0.1
TOLERANCE, SINGLE = 1e-6, 3e-4


@fuzz(40, drawn=cases(solvers=("prox_cn",)))
def test_backward_euler_takes_the_steps_of_the_dense_equation(drawn):
    case = drawn.case.but(solver=Proximal("prox_be", step_size=STEP, inner_tol=1e-9))
    if case.options.get("kind") == "wave":
        case = case.but(kind="hbnode")  # a wave takes its steps in other variables
    conv = case.build()
    x, edge_index, weight, *trusted = case.inputs()
    p, wide = dense.leaves(conv), x.double().requires_grad_()
    x.requires_grad_()
    dense_weight = None if weight is None else weight.double()
    steps = max(1, math.ceil(conv.time / STEP * (1 - 1e-6)))
    expected = dense.solution(conv, p, wide, edge_index, dense_weight, *trusted, steps=steps)
    got = conv(x, edge_index, weight, *trusted)
    tolerance = TOLERANCE if case.double else SINGLE
    assert_near(got, expected, tolerance)
    mine = {name: v for name, v in conv.named_parameters() if v.requires_grad} | {"x": x}
    theirs = {name: v for name, v in p.items() if v.requires_grad} | {"x": wide}
    factor = case.projection()
    found = gradients((factor.to(got.dtype) * got).sum(), mine)
    wanted = gradients((factor * expected).sum(), theirs)
    for name, gradient in found.items():
        assert_near(gradient, wanted[name], 10 * tolerance, name)
