"""Results: failures in words, and patience."""

from __future__ import annotations

import pytest
import torch

from grandpp.fields import NonFiniteFeaturesError
from grandpp.linalg.singular import ConvergenceError
from grandpp.solvers import Solution, SolveError, SolveStats, Status
from grandpp.training import RunResult
from grandpp.training.result import FAILURES, DivergedError, accuracy


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


def test_accuracies_count_known_labels_alone_and_are_none_without_any():
    logits = torch.eye(3)[[0, 1, 2, 0]]
    y = torch.tensor([0, 2, -1, 0])
    everyone = torch.ones(4, dtype=torch.bool)
    assert accuracy(logits, y, everyone) == pytest.approx(2 / 3)
    assert accuracy(logits, y, torch.tensor([False, False, True, False])) is None
    assert accuracy(logits, y, ~everyone) is None
