"""Temperatures and reliability against cases with known answers."""

import math

import numpy as np
import pytest
import torch

from grandpp.estimator.calibration import fit_temperature, held_out_folds, reliability


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40_000, 4, generator=generator)
    label = torch.multinomial(torch.softmax(logits / temperature, 1), 1, generator=generator)
    assert fit_temperature(logits, label.view(-1)) == pytest.approx(temperature, rel=0.03)


def test_few_labels_move_the_temperature_little():
    logits = torch.tensor([[2.0, 0.0]])
    # One right label alone would ask for T = 0: the prior holds the answer to
    # the minimum of log(1 + exp(-2 / T)) + (log T)^2 / 2.
    found = fit_temperature(logits, torch.tensor([0]))
    grid = np.linspace(-3, 3, 60_001)
    cost = np.log1p(np.exp(-2 / np.exp(grid))) + grid**2 / 2
    assert math.log(found) == pytest.approx(grid[cost.argmin()], abs=1e-3)
    assert fit_temperature(logits[:0], torch.tensor([], dtype=torch.long)) == 1.0


def test_calibration_error_by_hand():
    proba = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.45, 0.55]])
    found = reliability(proba, np.array([0, 1, 1, 1]), bins=2)
    # All are in (0.5, 1]: mean confidence 0.7375, accuracy 0.75.
    assert found.count.tolist() == [0, 4]
    assert found.calibration_error == pytest.approx(0.0125)
    found = reliability(proba, np.array([0, 1, 1, 1]), bins=10)
    # (0.5, 0.6]: 0.575 and 1; (0.8, 0.9]: 0.9 and 0.5.
    assert found.calibration_error == pytest.approx((2 * 0.425 + 2 * 0.4) / 4)


def test_a_class_without_a_column_counts_as_wrong():
    assert reliability(np.array([[0.8, 0.2]]), np.array([-1])).calibration_error == pytest.approx(
        0.8
    )
    with pytest.raises(ValueError, match="known label"):
        reliability(np.zeros((0, 2)), np.zeros(0, dtype=np.int64))


@pytest.mark.parametrize("counts", [(5, 5), (1, 3), (2, 2, 9), (60, 60), (1, 2)])
def test_folds_leave_every_class_a_label(counts):
    label = torch.cat([torch.full((n,), c) for c, n in enumerate(counts)])
    labelled = torch.arange(label.numel())
    folds = held_out_folds(label, labelled, seed=0)
    assert 1 <= len(folds) <= 5
    together = torch.cat(folds)
    assert together.unique().numel() == together.numel()
    for fold in folds:
        left = torch.ones(label.numel(), dtype=torch.bool)
        left[fold] = False
        assert label[left].unique().numel() == len(counts)
    assert together.numel() >= min(100, sum(n for n in counts if n > 1))


def test_no_folds_without_two_labels_of_a_class():
    assert held_out_folds(torch.arange(4), torch.arange(4), seed=0) == []


def test_folds_can_be_limited():
    label = torch.arange(3).repeat(20)
    all_folds = held_out_folds(label, torch.arange(60), seed=0)
    one = held_out_folds(label, torch.arange(60), seed=0, most=1)
    assert len(all_folds) == 5 and len(one) == 1
    assert torch.equal(one[0], all_folds[0])
