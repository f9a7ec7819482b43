"""Values of every layer under every solver against the dense equation."""

from __future__ import annotations

import dense_reference as dense
from fuzzing import assert_near, fuzz
from hypothesis import strategies as st
from strategies import Solved, SolverChoice, cases


def check(drawn):
    case, conv = drawn.case, drawn.case.build()
    x, edge_index, weight, *trusted = case.inputs()
    got = conv(x, edge_index, weight, *trusted)
    assert got.dtype == case.dtype
    weight = None if weight is None else weight.double()
    expected = dense.solution(conv, dense.leaves(conv), x.double(), edge_index, weight, *trusted)
    assert_near(got, expected, drawn.choice.tolerance(case))


@fuzz(80, drawn=cases(("grand",)))
def test_grand_is_its_equation(drawn):
    check(drawn)


@fuzz(80, drawn=cases(("grand++",)))
def test_grandpp_is_its_equation(drawn):
    check(drawn)


@fuzz(60, drawn=cases(("heavy_ball",)))
def test_heavy_balls_are_their_equation(drawn):
    check(drawn)


@fuzz(20, drawn=cases(("cgnn",)))
def test_the_continuous_gnn_is_its_equation(drawn):
    check(drawn)


@fuzz(
    10,
    drawn=cases(("cgnn",), solvers=("default",)),
    time=st.sampled_from((1e3, 1e4, 1e6)),
    alpha=st.sampled_from((0.918, 0.5, 0.99)),
)
def test_no_depth_makes_the_continuous_gnn_inaccurate(drawn, time, alpha):
    check(Solved(drawn.case.but(time=time, alpha=alpha), SolverChoice({}, 1e-4)))
