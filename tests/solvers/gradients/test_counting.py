"""Counting evaluations, products and steps."""

from __future__ import annotations

import pytest
import torch

from grandpp.solvers.base import SolveError
from grandpp.solvers.gradients.counting import (
    AdaptiveCountedField,
    BudgetError,
    CountedField,
    FirstAndLast,
    StepCountedField,
)

T = torch.zeros(())


def test_the_budget_is_spent_to_the_last_evaluation_and_not_beyond():
    calls = []
    counted_field = CountedField(lambda t, y: calls.append(t) or -y, max_nfe=3, t_start=0.5)
    for _ in range(3):
        counted_field(T, torch.ones(2))
    with pytest.raises(BudgetError):
        counted_field(T, torch.ones(2))
    assert len(calls) == counted_field.stats.nfe_forward == 3
    assert counted_field.t_reached == 0.5


@pytest.mark.parametrize("shape", ["tensor", "tuple"])
def test_each_product_of_the_backward_pass_is_counted_once(shape):
    y = torch.ones(2, requires_grad=True)
    state = y if shape == "tensor" else (y, y)
    counted_field = CountedField(
        lambda t, s: s * s if shape == "tensor" else (s[0] * s[1], s[1]), 10, t_start=0.0
    )
    first = counted_field(T, state)
    second = counted_field(T, first)
    assert counted_field.stats.nfe_backward == 0
    (second if shape == "tensor" else second[0]).sum().backward()
    assert (counted_field.stats.nfe_forward, counted_field.stats.nfe_backward) == (2, 2)


def test_after_the_forward_pass_evaluations_go_on_the_other_account():
    y = torch.ones(2, requires_grad=True)
    replayed = CountedField(lambda t, s: s * s, 1, t_start=0.0, forward_done=True)
    replayed(T, y).sum().backward()
    assert (replayed.stats.nfe_forward, replayed.stats.nfe_backward) == (0, 2)
    adjoint = CountedField(lambda t, s: s * s, 1, t_start=0.0, forward_done=True, adjoint=True)
    adjoint(T, y).sum().backward()
    assert (adjoint.stats.nfe_forward, adjoint.stats.nfe_backward) == (0, 1)


@pytest.mark.parametrize(("value", "bad"), [(1.0, False), (torch.nan, True), (torch.inf, True)])
def test_values_that_are_not_finite_are_seen(value, bad):
    counted_field = CountedField(lambda t, y: y * value, 5, t_start=0.0)
    assert not counted_field.saw_non_finite()
    counted_field(T, torch.ones(2, requires_grad=True))
    assert counted_field.saw_non_finite() is bad
    assert not counted_field.last[0].requires_grad


def test_steps_are_kept_with_what_it_takes_to_repeat_them():
    counted_field = StepCountedField(lambda t, y: -y, 5, t_start=0.0, kept=[])
    y = torch.ones(2, requires_grad=True)
    counted_field.callback_step(torch.tensor(0.25), y, torch.tensor(0.5))
    (step,) = counted_field.kept
    assert (step.t, float(step.size), step.slope) == (0.25, 0.5, None)
    assert not step.y.requires_grad
    assert (counted_field.stats.steps, counted_field.t_reached) == (1, 0.25)


def test_the_count_of_a_rejected_step_is_undone_and_the_slope_of_an_accepted_one_kept():
    counted_field = AdaptiveCountedField(
        lambda t, y: 3 * y, 5, t_start=0.0, kept=[], keep_slopes=True
    )
    y, size = torch.ones(2), torch.tensor(0.5)
    counted_field.callback_step(T, y, size)
    counted_field.callback_reject_step(T, y, size)
    assert (counted_field.stats.steps, counted_field.stats.rejected, counted_field.kept) == (
        0,
        1,
        [],
    )
    counted_field.callback_step(T, y, size)
    counted_field(T, y)
    counted_field.callback_accept_step(T, y, size)
    counted_field.callback_step(T + 0.5, y, size)
    assert counted_field.kept[0].slope is None
    assert counted_field.kept[1].slope.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("y", "size", "words"), [(torch.nan, 0.5, "NaN"), (1.0, 0.0, "step size fell")]
)
def test_an_adjoint_that_cannot_go_on_says_why(y, size, words):
    counted_field = AdaptiveCountedField(lambda t, s: s, 5, t_start=0.0)
    with pytest.raises(SolveError, match=words):
        counted_field.callback_step_adjoint(
            torch.tensor(-1.0), torch.tensor([y]), torch.tensor(size)
        )


def test_a_given_first_value_saves_one_evaluation():
    calls = []
    f = FirstAndLast(lambda t, y: calls.append(y) or -y, first=torch.tensor([7.0]))
    assert f(T, torch.ones(1)).item() == 7.0
    assert calls == []
    assert f(T, torch.full((1,), 2.0)).item() == -2.0
    assert (f.last_state.item(), f.last_value.item()) == (2.0, -2.0)
