"""Label propagation and correct-and-smooth against dense matrices."""

from __future__ import annotations

import pytest
import torch
from reference import dense_symmetric

from grandpp.models import (
    CorrectedClassifier,
    LabelSpreading,
    LaplaceLearning,
    PoissonLearning,
    mlp,
)

INDEX, LABELS = torch.tensor([0, 33, 5]), torch.tensor([1, 0, 2])


def seeds():
    y = torch.zeros(34, 3).double()
    y[INDEX, LABELS] = 1
    return y


@pytest.mark.parametrize("weighted", [False, True])
def test_label_propagation_tends_to_the_solution_of_zhou(weighted, karate, sparse_x):
    weight = 1.0 + (karate.sum(0) % 3) if weighted else None
    model = LabelSpreading(3, hops=300, alpha=0.9)
    model.fit_labels(INDEX, LABELS)
    ones = torch.ones(156) if weight is None else weight
    s = dense_symmetric(karate, ones, 34)
    expected = 0.1 * torch.linalg.solve(torch.eye(34).double() - 0.9 * s, seeds())
    scores = model(sparse_x, karate, weight)
    torch.testing.assert_close(scores.double(), expected, rtol=0, atol=1e-5)
    wanted = model.classify(sparse_x, karate, weight, wanted=INDEX).logits
    assert torch.equal(wanted, scores[INDEX])


def test_scores_of_a_hub_are_those_of_the_formula_and_not_cut_to_one():
    # A star of 81 nodes: 20 leaves of class 0 and 60 of class 1 around a centre without a label.
    leaves = torch.arange(1, 81)
    edges = torch.stack([torch.cat([leaves, 0 * leaves]), torch.cat([0 * leaves, leaves])])
    model = LabelSpreading(2, hops=300, alpha=0.9)
    model.fit_labels(leaves, (leaves > 20).long())
    start = torch.zeros(81, 2).double()
    start[leaves, (leaves > 20).long()] = 1
    s = dense_symmetric(edges, torch.ones(160), 81)
    expected = 0.1 * torch.linalg.solve(torch.eye(81).double() - 0.9 * s, start)
    scores = model(torch.zeros(81, 1), edges)
    torch.testing.assert_close(scores.double(), expected, rtol=0, atol=1e-4)
    assert scores[0].tolist() == pytest.approx([20 * 0.0530, 60 * 0.0530], rel=0.01)


def test_correct_and_smooth_equals_its_formulas_in_evaluation_alone(karate, sparse_x):
    torch.manual_seed(0)
    base = mlp(50, 8, 3, 0.0)
    model = CorrectedClassifier(base, 3, hops=4, alpha=0.6)
    model.fit_labels(INDEX, LABELS)
    weight = 1.0 + (karate.sum(0) % 3)
    plain = base(sparse_x, karate)
    assert torch.equal(model(sparse_x, karate, weight), plain)
    s = dense_symmetric(karate, weight, 34)

    def spread(start, low):
        z = start
        for _ in range(4):
            z = (0.6 * s @ z + 0.4 * start).clamp(low, 1)
        return z

    soft, y = plain.softmax(1).double(), seeds()
    error = torch.zeros(34, 3).double()
    error[INDEX] = y[INDEX] - soft[INDEX]
    smooth = spread(error, -1)
    scale = error[INDEX].abs().sum() / 3 / smooth.abs().sum(1, keepdim=True)
    scale[scale > 1000] = 1.0
    corrected = soft + scale * smooth
    corrected[INDEX] = y[INDEX]
    actual = model.eval()(sparse_x, karate, weight)
    torch.testing.assert_close(actual.double(), spread(corrected, 0), rtol=0, atol=1e-5)


def test_labels_are_needed_checked_and_move_with_the_model(karate, sparse_x):
    model = LabelSpreading(3)
    with pytest.raises(ValueError, match="fit_labels first"):
        model(sparse_x, karate)
    with pytest.raises(ValueError, match=r"in \[0, 3\) \(got 0 to 3\)"):
        model.fit_labels(INDEX, torch.tensor([0, 1, 3]))
    for index, labels in ((INDEX, LABELS[:2]), (INDEX[:0], LABELS[:0])):
        with pytest.raises(ValueError, match="one label for each"):
            model.fit_labels(index, labels)
    with pytest.raises(ValueError, match="known label"):
        model.fit_labels(INDEX, torch.full_like(LABELS, -1))
    with pytest.raises(ValueError, match="got -2 to"):
        model.fit_labels(INDEX, LABELS - 2)
    model.fit_labels(torch.tensor([7, 0, 33, 5]), torch.tensor([-1, 1, 0, 2]))
    some = model(sparse_x, karate)
    model.fit_labels(INDEX, LABELS)
    assert torch.equal(model(sparse_x, karate), some)
    assert model.to("meta").labels.is_meta
    assert not model.state_dict()
    assert not model.is_trained
    with pytest.raises(ValueError, match="'alpha'"):
        LabelSpreading(3, alpha=-0.1)


@pytest.mark.parametrize("kind", [LabelSpreading, LaplaceLearning, PoissonLearning])
def test_a_node_whose_label_is_not_known_is_as_if_it_were_not_given(kind, karate, sparse_x):
    with_unknown, without = kind(3), kind(3)
    unknown = torch.tensor([7, 9])
    with_unknown.fit_labels(
        torch.cat([unknown, INDEX]), torch.cat([torch.full_like(unknown, -1), LABELS])
    )
    without.fit_labels(INDEX, LABELS)
    assert torch.equal(with_unknown(sparse_x, karate), without(sparse_x, karate))
