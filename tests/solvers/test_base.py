"""What every solver returns, and how failures read."""

from __future__ import annotations

import pytest
import torch

from grandpp.solvers.base import (
    ADVICE,
    Solution,
    SolveError,
    SolveStats,
    Status,
    is_finite,
    map_parts,
    needs_grad,
    parts_of,
)

TS = torch.tensor([0.5, 2.0], dtype=torch.float64)


def test_the_last_state_is_taken_from_tensors_and_tuples():
    ys = torch.arange(6.0).view(2, 3)
    single = Solution(TS, ys, SolveStats(), Status.SUCCESS, 2.0)
    assert single.y.tolist() == [3.0, 4.0, 5.0]
    several = single.with_states((ys, -ys))
    assert [y.tolist() for y in several.y] == [[3.0, 4.0, 5.0], [-3.0, -4.0, -5.0]]
    assert several.stats is single.stats
    assert several.successful


def test_parts_of_a_state_are_its_tensors():
    a, b = torch.ones(2), torch.zeros(3)
    assert parts_of(a) == (a,)
    assert parts_of((a, b)) == (a, b)
    assert torch.equal(map_parts(torch.neg, a), -a)
    assert [p.tolist() for p in map_parts(torch.neg, (a, b))] == [[-1.0] * 2, [0.0] * 3]


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.SUCCESS])
def test_every_failure_says_what_happened_where_and_what_to_do(status):
    solution = Solution(TS, torch.zeros(2), SolveStats(nfe_forward=7), status, 0.25)
    assert not solution.successful
    error = SolveError(solution, "euler")
    assert error.solution is solution
    assert str(error) == (
        f"euler stopped at t = 0.25 of 2 after 7 evaluations: {status.value}; {ADVICE[status]}"
    )


def test_one_bad_entry_in_any_part_is_not_finite():
    good = torch.ones(3)
    assert is_finite(good)
    assert is_finite((good, good))
    for bad in (torch.nan, torch.inf, -torch.inf):
        assert not is_finite((good, torch.tensor([0.0, bad])))


def test_gradients_are_needed_where_autograd_is_on_and_a_tensor_asks():
    asks, silent = torch.ones(1, requires_grad=True), torch.ones(1)
    assert needs_grad((silent, asks))
    assert not needs_grad((silent,))
    with torch.no_grad():
        assert not needs_grad((asks,))
