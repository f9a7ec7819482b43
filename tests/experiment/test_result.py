"""Results: failures in words, and patience."""

from __future__ import annotations

import torch

from grandpp.experiment import RunResult
from grandpp.experiment.result import FAILURES, DivergedError
from grandpp.fields import NonFiniteFeaturesError
from grandpp.singular import ConvergenceError
from grandpp.solvers import Solution, SolveError, SolveStats, Status


def test_every_failure_is_a_status_without_an_accuracy():
    solution = Solution(torch.ones(1), torch.ones(1, 1), SolveStats(), Status.MAX_NFE, 0.0)
    errors = [SolveError(solution, "exact"), ConvergenceError("stuck"), DivergedError("gone"),
              NonFiniteFeaturesError("lost")]  # fmt: skip
    assert {type(error) for error in errors} == set(FAILURES)
    results = [RunResult.failed(error) for error in errors]
    statuses = ["max_nfe", "linear_solve_failed", "diverged", "diverged"]
    assert [r.status for r in results] == statuses
    messages = ["stuck", "gone", "the encoder overflowed in training: lost"]
    assert [r.message for r in results[1:]] == messages
    assert "raise max_nfe" in results[0].message
    assert all(r.test_accuracy is None for r in results)


def test_patience_counts_from_the_best_epoch():
    result = RunResult(best_epoch=4, epochs=6)
    assert result.out_of_patience(2)
    assert not result.out_of_patience(3)
    assert not result.out_of_patience(None)
    assert not RunResult().out_of_patience(1)
