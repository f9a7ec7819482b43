"""Counting evaluations, products and steps."""

from __future__ import annotations

import pytest
import torch

from grandpp.solvers.base import SolveError
from grandpp.solvers.gradients.counting import (
    AdaptiveRecorder,
    BudgetError,
    FirstAndLast,
    Recorder,
    StepRecorder,
)

T = torch.zeros(())


def test_the_budget_is_spent_to_the_last_evaluation_and_not_beyond():
    calls = []
    recorder = Recorder(lambda t, y: calls.append(t) or -y, max_nfe=3, t_start=0.5)
    for _ in range(3):
        recorder(T, torch.ones(2))
    with pytest.raises(BudgetError):
        recorder(T, torch.ones(2))
    assert len(calls) == recorder.stats.nfe_forward == 3
    assert recorder.t_reached == 0.5


@pytest.mark.parametrize("shape", ["tensor", "tuple"])
def test_each_product_of_the_backward_pass_is_counted_once(shape):
    y = torch.ones(2, requires_grad=True)
    state = y if shape == "tensor" else (y, y)
    recorder = Recorder(
        lambda t, s: s * s if shape == "tensor" else (s[0] * s[1], s[1]), 10, t_start=0.0
    )
    first = recorder(T, state)
    second = recorder(T, first)
    assert recorder.stats.nfe_backward == 0
    (second if shape == "tensor" else second[0]).sum().backward()
    assert (recorder.stats.nfe_forward, recorder.stats.nfe_backward) == (2, 2)


def test_after_the_forward_pass_evaluations_go_on_the_other_account():
    y = torch.ones(2, requires_grad=True)
    replayed = Recorder(lambda t, s: s * s, 1, t_start=0.0, forward_done=True)
    replayed(T, y).sum().backward()
    assert (replayed.stats.nfe_forward, replayed.stats.nfe_backward) == (0, 2)
    adjoint = Recorder(lambda t, s: s * s, 1, t_start=0.0, forward_done=True, adjoint=True)
    adjoint(T, y).sum().backward()
    assert (adjoint.stats.nfe_forward, adjoint.stats.nfe_backward) == (0, 1)


@pytest.mark.parametrize(("value", "bad"), [(1.0, False), (torch.nan, True), (torch.inf, True)])
def test_values_that_are_not_finite_are_seen(value, bad):
    recorder = Recorder(lambda t, y: y * value, 5, t_start=0.0)
    assert not recorder.saw_non_finite()
    recorder(T, torch.ones(2, requires_grad=True))
    assert recorder.saw_non_finite() is bad
    assert not recorder.last[0].requires_grad


def test_steps_are_kept_with_what_it_takes_to_repeat_them():
    recorder = StepRecorder(lambda t, y: -y, 5, t_start=0.0, kept=[])
    y = torch.ones(2, requires_grad=True)
    recorder.callback_step(torch.tensor(0.25), y, torch.tensor(0.5))
    (step,) = recorder.kept
    assert (step.t, float(step.size), step.slope) == (0.25, 0.5, None)
    assert not step.y.requires_grad
    assert (recorder.stats.steps, recorder.t_reached) == (1, 0.25)


def test_a_rejected_step_is_taken_back_and_the_slope_of_an_accepted_one_carried_over():
    recorder = AdaptiveRecorder(lambda t, y: 3 * y, 5, t_start=0.0, kept=[], keep_slopes=True)
    y, size = torch.ones(2), torch.tensor(0.5)
    recorder.callback_step(T, y, size)
    recorder.callback_reject_step(T, y, size)
    assert (recorder.stats.steps, recorder.stats.rejected, recorder.kept) == (0, 1, [])
    recorder.callback_step(T, y, size)
    recorder(T, y)
    recorder.callback_accept_step(T, y, size)
    recorder.callback_step(T + 0.5, y, size)
    assert recorder.kept[0].slope is None
    assert recorder.kept[1].slope.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("y", "size", "words"), [(torch.nan, 0.5, "NaN"), (1.0, 0.0, "step size fell")]
)
def test_an_adjoint_that_cannot_go_on_says_why(y, size, words):
    recorder = AdaptiveRecorder(lambda t, s: s, 5, t_start=0.0)
    with pytest.raises(SolveError, match=words):
        recorder.callback_step_adjoint(torch.tensor(-1.0), torch.tensor([y]), torch.tensor(size))


def test_a_given_first_value_saves_one_evaluation():
    calls = []
    f = FirstAndLast(lambda t, y: calls.append(y) or -y, first=torch.tensor([7.0]))
    assert f(T, torch.ones(1)).item() == 7.0
    assert calls == []
    assert f(T, torch.full((1,), 2.0)).item() == -2.0
    assert (f.last_state.item(), f.last_value.item()) == (2.0, -2.0)
