"""Logits adjusted to the shares of the classes among the nodes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from grandpp.layers import GRANDConv, GRANDPPConv
from grandpp.linalg import Reductions
from grandpp.models import (
    DiffusionClassifier,
    Member,
    adjust_to_shares,
    classify_batched,
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


def test_logits_that_name_the_classes_as_often_as_in_training_stay():
    logits = torch.randn(50, 3, dtype=torch.float64)
    trained = logits.softmax(1).mean(0)
    torch.testing.assert_close(adjust_to_shares(logits, trained), logits, rtol=0, atol=1e-12)


def test_a_class_that_was_not_trained_on_keeps_its_logit():
    logits = torch.randn(50, 3)
    adjusted = adjust_to_shares(logits, torch.tensor([0.7, 0.3, 0.0]))
    assert torch.equal(adjusted[:, 2], logits[:, 2])
    assert not torch.allclose(adjusted[:, 0], logits[:, 0])


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


def test_shares_of_a_loss():
    label = torch.tensor([0, 2, 2, 1])
    torch.testing.assert_close(training_shares(label, None, 4), torch.tensor([0.25, 0.25, 0.5, 0]))
    weight = torch.tensor([3.0, 1.0, 0.0, 1.0])
    torch.testing.assert_close(training_shares(label, weight, 3), torch.tensor([0.6, 0.2, 0.2]))


@pytest.fixture(params=[GRANDConv, GRANDPPConv])
def models(request):
    """A model that adjusts its logits, and the same one that does not."""
    torch.manual_seed(0)
    conv = request.param(8, time=2.0, solver="exact", rtol=1e-12)
    model = DiffusionClassifier(12, 3, conv, input_dropout=0.0, estimate_shares=True).double()
    plain = copy.deepcopy(model)
    plain.trained_shares = None
    model.fit_shares(torch.tensor([0.5, 0.3, 0.2]))
    return model, plain


def test_a_model_adjusts_in_evaluation_alone(karate, models):
    model, plain = models
    x, trusted = torch.rand(34, 12, dtype=torch.float64), torch.tensor([0, 33])
    torch.testing.assert_close(model(x, karate, None, trusted), plain(x, karate, None, trusted))
    model.eval()
    plain.eval()
    want = adjust_to_shares(plain(x, karate, None, trusted), torch.tensor([0.5, 0.3, 0.2]).double())
    found = model(x, karate, None, trusted)
    torch.testing.assert_close(found, want)
    assert not torch.allclose(found, plain(x, karate, None, trusted))


def test_every_way_to_the_logits_adjusts_them_alike(karate, models):
    model = models[0].eval()
    x, trusted = torch.rand(34, 12, dtype=torch.float64), torch.tensor([0, 33])
    want = model(x, karate, None, trusted)
    wanted = torch.tensor([3, 5, 30])
    some = model.classify(x, karate, None, trusted, wanted=wanted).logits
    torch.testing.assert_close(some, want[wanted])
    (along,) = model.classify_along(x, karate, None, trusted, times=[2.0])
    torch.testing.assert_close(along, want, rtol=1e-8, atol=1e-8)
    (joint,) = classify_batched([Member(model, trusted)], x, karate)
    torch.testing.assert_close(joint.logits, want, rtol=1e-8, atol=1e-8)


def test_the_shares_of_training_are_saved_with_the_model(models):
    model, plain = models
    assert model.state_dict()["trained_shares"].tolist() == pytest.approx([0.5, 0.3, 0.2])
    assert "trained_shares" not in plain.state_dict()
