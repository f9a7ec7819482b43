"""The one judge of convergence."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.solvers.implicit import iteration
from grandpp.solvers.implicit.iteration import Iteration, difference_step, weighted_norm

Z = torch.tensor([3.0, -1.0], dtype=torch.float64)


def gauge(size):
    """A residual whose weighted norm at ``Z`` is ``size``."""
    return size * (1 + Z.abs())


def test_the_norm_weighs_each_entry_by_its_size():
    g = torch.tensor([8.0, 2.0], dtype=torch.float64)
    assert weighted_norm(Z, g) == pytest.approx(math.sqrt((2.0**2 + 1.0**2) / 2))
    assert weighted_norm(Z, gauge(0.3)) == pytest.approx(0.3)


def test_the_best_state_is_returned_with_its_own_residual():
    it = Iteration(lambda z: z, tol=0.1, max_iterations=10)
    states = [Z.clone() for _ in range(3)]
    for z, size in zip(states, (0.9, 0.4, 0.7), strict=True):
        it.evaluate(z)
        assert it.goes_on(z, gauge(size))
    result = it.result()
    assert result.z is states[1]
    assert result.residual_norm == pytest.approx(0.4)
    assert (result.iterations, result.evaluations, result.converged) == (3, 3, False)


def test_it_stops_at_the_tolerance_and_counts_no_further_iteration():
    it = Iteration(lambda z: z, tol=0.5, max_iterations=10)
    assert it.goes_on(Z, gauge(0.6))
    assert not it.goes_on(Z, gauge(0.5 - 1e-12))
    assert it.result().converged
    assert it.iterations == 1


def test_it_stops_at_the_most_iterations():
    it = Iteration(lambda z: z, tol=0.0, max_iterations=4)
    steps = 0
    while it.goes_on(Z, gauge(0.9**steps)):
        steps += 1
    assert steps == it.iterations == 4


def test_stagnation_growth_and_nan_are_hopeless(monkeypatch):
    monkeypatch.setattr(iteration, "_PATIENCE", 5)
    it, steps = Iteration(lambda z: z, 0.0, 1000), 0
    while it.goes_on(Z, gauge(1.0)):
        steps += 1
    assert steps == 5
    it = Iteration(lambda z: z, 1e-9, 1000)
    assert it.goes_on(Z, gauge(1.0))
    assert it.goes_on(Z, gauge(0.9e6))
    assert not it.goes_on(Z, gauge(1.1e6))
    assert not Iteration(lambda z: z, 1e-9, 1000).goes_on(Z, gauge(math.nan))


def test_what_was_only_predicted_can_be_forgotten():
    it = Iteration(lambda z: z, 0.1, 10)
    it.look_at(Z, gauge(0.01))
    it.forget()
    with pytest.raises(RuntimeError, match="at least one state"):
        it.result()
    it.look_at(Z, gauge(0.3))
    assert it.result().residual_norm == pytest.approx(0.3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_difference_quotients_step_by_a_root_of_the_rounding(dtype):
    z = torch.full((16,), 2.0, dtype=dtype)
    assert difference_step(z) == pytest.approx(math.sqrt(torch.finfo(dtype).eps) * (4 + 8))
