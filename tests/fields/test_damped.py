"""The damped field as a linear system."""

from __future__ import annotations

import torch
from reference import dense_random_walk

from grandpp.fields import GraphDiffusion
from grandpp.fields.damped import with_restart
from grandpp.solvers.linear.system import LinearSystem


def bind(x, edges, alpha):
    walk = GraphDiffusion(8, attention=None, heads=1, self_loop_weight=0.0, learn_alpha=False)
    return with_restart(walk.double().prepare(x, edges), alpha, 2 * x)


def test_the_derivative_is_the_formula_and_the_system_says_the_same(karate, features):
    field = bind(features, karate, 0.7)
    assert isinstance(field, LinearSystem)
    p = dense_random_walk(karate, 34, self_loop_weight=0.0)
    y = features.cos()
    expected = (0.35 * (y + p @ y) - y + 2 * features).unsqueeze(0)
    zero = torch.zeros(())
    torch.testing.assert_close(field(zero, y.unsqueeze(0)), expected)
    system = field.constant * y + field.coupling * (p @ y) + field.sources[0]
    torch.testing.assert_close(system.unsqueeze(0), expected)
    assert field.reversible


def test_other_tensors_take_the_place_of_those_captured(karate, features):
    field = bind(features, karate, 0.7)
    y = features.unsqueeze(0)
    doubled = field.bind([2 * c for c in field.captured])
    torch.testing.assert_close(doubled(torch.zeros(()), y), 2 * field(torch.zeros(()), y))
