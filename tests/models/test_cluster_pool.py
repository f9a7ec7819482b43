"""Predictions of a network pooled with the probabilities of clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from grandpp.models import pool_with_clusters


@pytest.mark.parametrize("weight", [0.5, 1.0, 3])
def test_probabilities_are_the_weighted_geometric_means(weight):
    rng = np.random.default_rng(0)
    logits, proba = 4 * rng.normal(size=(50, 3)), rng.dirichlet([0.3] * 3, size=50)
    found = pool_with_clusters(torch.from_numpy(logits), torch.from_numpy(proba), weight)
    want = np.exp(log_softmax(logits, axis=1)) * proba**weight
    np.testing.assert_allclose(found.exp(), want, rtol=1e-12)
    want /= want.sum(1, keepdims=True)
    np.testing.assert_allclose(found.softmax(1), want, rtol=1e-12)
    shifted = pool_with_clusters(torch.from_numpy(logits + 7), torch.from_numpy(proba), weight)
    torch.testing.assert_close(shifted, found)


def test_clusters_without_weight_change_no_prediction():
    logits = torch.randn(20, 4, dtype=torch.float64)
    found = pool_with_clusters(logits, torch.eye(4).repeat(5, 1), 0)
    torch.testing.assert_close(found.softmax(1), logits.softmax(1))


def test_uniform_clusters_change_no_prediction():
    logits = torch.randn(20, 4, dtype=torch.float64)
    found = pool_with_clusters(logits, torch.full((20, 4), 0.25), 2.0)
    torch.testing.assert_close(found.softmax(1), logits.softmax(1))


def test_a_class_that_clusters_exclude_can_be_told_by_the_network():
    logits, proba = torch.tensor([[60.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert int(pool_with_clusters(logits, proba, 1.0).argmax()) == 0
    assert int(pool_with_clusters(logits / 10, proba, 1.0).argmax()) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_its_type_and_loses_no_small_probability(dtype):
    logits, proba = torch.tensor([[1.0, 0.0]]).to(dtype), torch.tensor([[1e-10, 1.0]])
    found = pool_with_clusters(logits, proba, 1.0)
    assert found.dtype == dtype
    assert float(found[0, 0]) == pytest.approx(np.log(1e-10) - np.log1p(np.exp(-1)), rel=0.01)


@pytest.mark.parametrize(
    ("shape", "weight", "message"),
    [
        ((5, 2), 1.0, r"expected logits and probabilities \[N, C\] .*\[5, 3\] and \[5, 2\]"),
        ((4, 3), 1.0, r"\[5, 3\] and \[4, 3\]"),
        ((5, 3), -1.0, r"expected a weight >= 0 \(got -1.0\)"),
        ((5, 3), float("nan"), r"got nan"),
        ((5, 3), float("inf"), r"got inf"),
    ],
)
def test_other_shapes_and_weights_are_refused(shape, weight, message):
    with pytest.raises(ValueError, match=message):
        pool_with_clusters(torch.zeros(5, 3), torch.ones(shape), weight)
