"""The step size controller, by hand."""

from __future__ import annotations

import math

import pytest

from grandpp.solvers.explicit.step_size import StepSize


def test_the_first_step_is_followed_by_one_of_the_size_its_error_allows():
    control = StepSize(5, 0.1)
    control.accept(0.1, 0.5)
    assert control.length == pytest.approx(0.1 * 0.9 * 0.5**-0.2)


def test_later_steps_also_look_at_the_error_before():
    control = StepSize(5, 0.1)
    control.accept(0.1, 0.5)
    length = control.length
    control.accept(length, 0.25)
    assert control.length == pytest.approx(length * 0.9 * 0.25 ** (-0.85 / 5) * 0.5 ** (0.2 / 5))


@pytest.mark.parametrize(("error", "factor"), [(0.0, 10.0), (1e-30, 10.0), (1.0, 0.9)])
def test_growth_is_bounded(error, factor):
    control = StepSize(5, 2.0)
    control.accept(2.0, error)
    assert control.length == pytest.approx(2.0 * factor)


@pytest.mark.parametrize(
    ("error", "factor"), [(2.0, 0.9 * 2**-0.2), (1e9, 0.2), (math.nan, 0.1), (math.inf, 0.1)]
)
def test_a_rejected_step_is_followed_by_a_shorter_one_and_then_by_no_longer_one(error, factor):
    control = StepSize(5, 1.0)
    control.reject(1.0, error)
    assert control.length == pytest.approx(factor)
    short = control.length
    control.accept(short, 1e-9)
    assert control.length == short
    control.accept(short, 1e-9)
    assert control.length > 5 * short


def test_the_last_step_is_stretched_a_little_or_shortened():
    control = StepSize(5, 1.0)
    assert control.within(5.0) == 1.0
    assert control.within(1.04) == 1.04
    assert control.within(1.06) == 1.0
    assert control.within(0.3) == 0.3


def test_a_shortened_step_changes_the_proposal_only_if_its_error_says_something():
    control = StepSize(5, 1.0)
    control.accept(0.01, 1e-12)
    assert control.length == 1.0
    control.accept(0.5, 1e-12)
    assert control.length == 5.0
    control = StepSize(5, 1.0)
    control.accept(0.5, 0.9)
    assert control.length == pytest.approx(0.45 * 0.9**-0.2)


def test_the_proposal_after_a_shortened_step_follows_its_own_error():
    control = StepSize(5, 1.0)
    control.accept(1.0, 0.04)
    control.accept(0.3, 4e-4)
    assert control.length == pytest.approx(0.3 * 0.9 * 4e-4**-0.2)
