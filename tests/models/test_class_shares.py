"""Logits adjusted to the shares of the classes among the nodes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from grandpp.layers import GRANDConv
from grandpp.linalg import Reductions
from grandpp.models import (
    DiffusionClassifier,
    adjust_to_shares,
    share_correction,
    training_shares,
)


def saerens(logits, trained, rounds=20):
    """The procedure as the paper writes it: posteriors and shares in turn."""
    start = np.exp(logits - logits.max(1, keepdims=True))
    start /= start.sum(1, keepdims=True)
    posterior = start
    for _ in range(rounds):
        shares = posterior.mean(0)
        posterior = start * (shares / trained)
        posterior /= posterior.sum(1, keepdims=True)
    return posterior


@pytest.mark.parametrize("size", [0.3, 3.0, 30.0])
def test_probabilities_are_those_of_the_procedure_of_the_paper(size):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 4)) * size + [0, 1, 0, -1]
    trained = np.array([0.4, 0.3, 0.2, 0.1])
    found = adjust_to_shares(torch.from_numpy(logits), torch.from_numpy(trained))
    np.testing.assert_allclose(found.softmax(1).numpy(), saerens(logits, trained), atol=1e-9)


def test_the_true_shares_are_found_where_the_model_is_right():
    # Three outcomes of known probability in each of two classes; the model saw as many of both.
    chance = torch.tensor([[0.90, 0.08, 0.02], [0.03, 0.07, 0.90]], dtype=torch.float64)
    truth = torch.tensor([0.8, 0.2], dtype=torch.float64)
    counts = (truth @ chance * 10_000).round().long()
    outcome = torch.repeat_interleave(torch.arange(3), counts)
    logits = chance.log()[:, outcome].t()
    adjusted = adjust_to_shares(logits, torch.full((2,), 0.5, dtype=torch.float64))
    shift = adjusted - logits
    torch.testing.assert_close(shift, (truth / 0.5).log().expand_as(shift), rtol=1e-3, atol=1e-3)
    right = (chance * truth[:, None]).t()[outcome]
    torch.testing.assert_close(adjusted.softmax(1), right / right.sum(1, keepdim=True),
                               rtol=0, atol=1e-3)  # fmt: skip


def test_logits_whose_mean_probabilities_are_the_shares_of_training_stay():
    logits = torch.randn(50, 3, dtype=torch.float64)
    trained = logits.softmax(1).mean(0)
    torch.testing.assert_close(adjust_to_shares(logits, trained), logits, rtol=0, atol=1e-12)


def test_classes_that_were_not_trained_on_are_left_out():
    logits = torch.randn(50, 3, dtype=torch.float64)
    adjusted = adjust_to_shares(logits, torch.tensor([0.7, 0.3, 0.0]))
    assert torch.equal(adjusted[:, 2], logits[:, 2])
    others = adjust_to_shares(logits[:, :2], torch.tensor([0.7, 0.3]))
    torch.testing.assert_close(adjusted[:, :2], others)


@pytest.mark.parametrize("size", [100.0, 1e4, 1e30])
def test_a_class_that_no_node_is_near_to_stays_finite(size):
    logits = torch.randn(40, 3) * torch.tensor([1.0, 1.0, 0.0])
    logits[:, 2] = -size
    assert bool(adjust_to_shares(logits, torch.full((3,), 1 / 3)).isfinite().all())


def test_halves_in_two_processes_are_one_graph():
    logits = torch.randn(30, 4, dtype=torch.float64)
    trained = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    whole = adjust_to_shares(logits, trained)

    class Twice(Reductions):
        """Another process with the same rows."""

        is_local = False

        def sum(self, x):
            return 2 * x

    torch.testing.assert_close(adjust_to_shares(logits, trained, Twice()), whole)
    doubled = adjust_to_shares(torch.cat([logits, logits]), trained)
    torch.testing.assert_close(doubled[:30], whole)


def test_a_process_without_rows_changes_nothing():
    logits = torch.randn(30, 4)
    trained = torch.tensor([0.1, 0.2, 0.3, 0.4])

    class Two(Reductions):
        """Sums of this process and of one that has the rows."""

        is_local = False

        def __init__(self, rows):
            self.rows, self.ratio = rows, torch.ones(4)

        def sum(self, x):
            if x.dim() == 0:
                return x + len(self.rows)
            proba = self.rows.softmax(1)
            named = x + proba.t() @ (1 / (proba @ self.ratio))
            self.ratio = self.ratio * named / (len(self.rows) * trained)
            return named

    found = share_correction(logits[:0], trained, Two(logits))
    torch.testing.assert_close(found, share_correction(logits, trained))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_many_nodes_in_half_precision(dtype):
    logits = torch.randn(100_000, 3).to(dtype)
    trained = torch.tensor([0.5, 0.3, 0.2])
    found = adjust_to_shares(logits, trained.to(dtype))
    assert found.dtype == dtype and bool(found.isfinite().all())
    want = adjust_to_shares(logits.double(), trained.to(dtype).double())
    torch.testing.assert_close(found.double(), want, rtol=0.01, atol=0.02)
    with torch.autocast("cpu", dtype=dtype):
        mixed = share_correction(logits.float(), trained)
    torch.testing.assert_close(mixed, share_correction(logits.float(), trained), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        ([0.5, 0.5], r"one share per class .got shapes \[4, 3\] and \[2\]"),
        ([5.0, 3.0, 2.0], "shares >= 0 of sum 1"),
        ([1.5, -0.5, 0.0], "shares >= 0 of sum 1"),
        ([float("nan"), 0.5, 0.5], "shares >= 0 of sum 1"),
        ([0.0, 0.0, 0.0], "shares >= 0 of sum 1"),
    ],
)
def test_what_are_no_shares_is_refused(trained, message):
    with pytest.raises(ValueError, match=message):
        adjust_to_shares(torch.zeros(4, 3), torch.tensor(trained))


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(1)
    logits = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    for trained in ([0.5, 0.3, 0.2], [0.6, 0.4, 0.0]):
        shares = torch.tensor(trained, dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda z, s=shares: adjust_to_shares(z, s), logits)


def test_shares_of_a_loss():
    label = torch.tensor([0, 2, 2, 1])
    torch.testing.assert_close(training_shares(label, None, 4), torch.tensor([0.25, 0.25, 0.5, 0]))
    weight = torch.tensor([3.0, 1.0, 0.0, 1.0])
    torch.testing.assert_close(training_shares(label, weight, 3), torch.tensor([0.6, 0.2, 0.2]))


def test_a_loss_without_weights_has_no_shares():
    label = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="expected a label with a positive weight"):
        training_shares(label, torch.zeros(2), 3)
    with pytest.raises(ValueError, match="expected a label with a positive weight"):
        training_shares(label[:0], None, 3)


@pytest.fixture
def model():
    torch.manual_seed(0)
    conv = GRANDConv(8, time=2.0, solver="exact", rtol=1e-12)
    return DiffusionClassifier(12, 3, conv, estimate_shares=True).double().eval()


def test_a_model_adjusts_what_is_evaluated_and_nothing_else(karate, model):
    x, shares = torch.rand(34, 12, dtype=torch.float64), torch.tensor([0.5, 0.3, 0.2])
    logits = model(x, karate)
    model.fit_shares(shares)
    torch.testing.assert_close(model(x, karate), logits)
    adjusted = model.adjust(logits)
    torch.testing.assert_close(adjusted, adjust_to_shares(logits, shares.double()))
    assert not torch.allclose(adjusted, logits)


def test_a_model_adjusts_only_if_it_is_to(karate, model):
    plain = DiffusionClassifier(12, 3, copy.deepcopy(model.conv)).double().eval()
    plain.fit_shares(torch.tensor([0.5, 0.3, 0.2]))
    logits = plain(torch.rand(34, 12, dtype=torch.float64), karate)
    assert plain.adjust(logits) is logits
    assert "trained_shares" not in plain.state_dict()


def test_the_shares_of_training_are_saved_with_the_model(model):
    model.fit_shares(torch.tensor([0.5, 0.3, 0.2]))
    assert model.state_dict()["trained_shares"].tolist() == pytest.approx([0.5, 0.3, 0.2])
