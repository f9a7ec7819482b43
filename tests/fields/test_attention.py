"""Scores against their formulas, and what normalisation promises."""

from __future__ import annotations

import math

import pytest
import torch
from reference import to_dense
from torch.func import functional_call

from grandpp.fields import ATTENTIONS, NORMALIZATIONS, EdgeAttention, squareplus
from grandpp.graph import prepare_graph, row_normalize


def make(score, normalization="softmax", heads=2, size=8):
    torch.manual_seed(0)
    attention = EdgeAttention(8, size, heads, score, normalization).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return attention


def score_by_hand(attention, q, k, score):
    d = q.numel()
    if score == "scaled_dot":
        return (q @ k) / math.sqrt(d)
    if score == "cosine":
        return (q @ k) / (q.norm() * k.norm())
    if score == "pearson":
        q, k = q - q.mean(), k - k.mean()
        return (q @ k) / (q.norm() * k.norm())
    width = -((q - k) @ (q - k)) / (2 * attention.length**2)
    return (attention.deviation**2 * width.exp()).squeeze()


@pytest.mark.parametrize("score", ATTENTIONS)
def test_every_score_equals_its_formula_edge_by_edge(score, karate, features):
    attention = make(score)
    graph = prepare_graph(karate, 34)
    got = attention.scores(features, graph)
    key = (features @ attention.key).view(34, 2, 4)
    query = key if attention.query is None else (features @ attention.query).view(34, 2, 4)
    for e in range(0, graph.csr.col.numel(), 7):
        i, j = int(graph.csr.row[e]), int(graph.csr.col[e])
        for h in range(2):
            if score == "gat":
                raw = key[i, h] @ attention.vector[0, h] + key[j, h] @ attention.vector[1, h]
                expected = torch.nn.functional.leaky_relu(raw, 0.2)
            else:
                expected = score_by_hand(attention, query[i, h], key[j, h], score)
            torch.testing.assert_close(got[e, h], expected)


@pytest.mark.parametrize("score", ATTENTIONS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_rows_sum_to_one_and_weights_are_positive(score, normalization, karate, features):
    graph = prepare_graph(karate, 36)  # two isolated nodes
    x = torch.cat([features, features[:2]])
    weight = make(score, normalization)(x, graph, graph.prior(None, 0.5, like=x))
    sums = torch.zeros(36, dtype=x.dtype).index_add(0, graph.csr.row, weight)
    torch.testing.assert_close(sums, torch.ones(36, dtype=x.dtype))
    assert weight.min() > 0


def test_heads_are_averaged_and_softmax_is_weighted_by_the_prior(path):
    graph = prepare_graph(path, 4)
    x = torch.randn(4, 8, dtype=torch.float64)
    weights = torch.tensor([1.0, 2, 3, 4, 5, 6], dtype=torch.float64)
    prior = graph.prior(weights, 0.5, like=x)
    attention = make("scaled_dot")
    strength = attention.scores(x, graph).exp() * prior.unsqueeze(-1)
    dense = torch.stack([to_dense(graph, strength[:, h]) for h in range(2)])
    expected = (dense / dense.sum(-1, keepdim=True)).mean(0)
    got = to_dense(graph, attention(x, graph, prior))
    torch.testing.assert_close(got, expected)


def test_scaled_dot_starts_as_the_random_walk_and_can_leave_it(karate, features):
    torch.manual_seed(0)
    attention = EdgeAttention(8, 8, 2).double()
    graph = prepare_graph(karate, 34)
    prior = graph.prior(None, 1.0, like=features)
    weight = attention(features, graph, prior)
    torch.testing.assert_close(weight, row_normalize(graph, prior))
    (weight * torch.randn_like(weight)).sum().backward()
    assert attention.query.grad.abs().max() > 0


def test_large_scores_overflow_neither_softmax_nor_squareplus(path):
    graph = prepare_graph(path, 4)
    x = 1e3 * torch.randn(4, 8, dtype=torch.float64)
    for normalization in NORMALIZATIONS:
        weight = make("scaled_dot", normalization)(x, graph, graph.prior(None, 1.0, like=x))
        assert torch.isfinite(weight).all()


def test_masked_entries_with_the_largest_scores_do_not_make_the_others_underflow(path):
    graph = prepare_graph(path, 4)
    torch.manual_seed(0)
    attention = EdgeAttention(8, 8, 1).float()
    with torch.no_grad():
        attention.query.copy_(attention.key)  # every node scores itself highest, by far
    x = 30 * torch.randn(4, 8)
    weight = attention(x, graph, graph.prior(None, 0.0, like=x))
    assert torch.isfinite(weight).all()
    dense = to_dense(graph, weight)
    assert dense.diagonal().abs().max() == 0
    torch.testing.assert_close(dense.sum(1), torch.ones(4))


@pytest.mark.parametrize("score", ["scaled_dot", "cosine", "pearson", "exp_kernel"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_first_and_second_derivatives_by_features_parameters_and_prior(score, normalization, path):
    graph = prepare_graph(path, 4)
    attention = make(score, normalization, size=6)
    x = torch.randn(4, 8, dtype=torch.float64, requires_grad=True)
    prior = graph.prior(None, 0.5, like=x).requires_grad_()

    def run(x, key, query, prior):
        return functional_call(attention, {"key": key, "query": query}, (x, graph, prior))

    inputs = (x, attention.key, attention.query, prior)
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


def test_squareplus_is_positive_exact_and_differentiable_far_from_zero():
    s = torch.tensor([-1e8, -3.0, 0.0, 3.0, 1e8], dtype=torch.float64, requires_grad=True)
    y = squareplus(s)
    torch.testing.assert_close(y[1:4], (s[1:4] + (s[1:4] ** 2 + 4).sqrt()) / 2)
    assert float(y[0].detach()) == pytest.approx(1e-8)
    y.sum().backward()
    assert torch.isfinite(s.grad).all()
    near = torch.linspace(-4, 4, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(squareplus, near)
    assert torch.autograd.gradgradcheck(squareplus, near)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((8, 8, 2, "dot"), "scaled_dot.*got 'dot'"),
        ((8, 8, 2, "gat", "sparsemax"), "softmax.*got 'sparsemax'"),
        ((8, 9, 2), "multiple of 'heads'.*attention_channels=9, heads=2"),
        ((8, 8, 0), "heads=0"),
        ((8, 4, 4, "pearson"), "3 channels per head for 'pearson'.*got 1"),
        ((8, 8, 4, "pearson"), "3 channels per head for 'pearson'.*got 2"),
        ((8, 4, 4, "cosine"), "2 channels per head for 'cosine'.*got 1"),
    ],
)
def test_wrong_choices_are_refused_in_words(arguments, words):
    with pytest.raises(ValueError, match=words):
        EdgeAttention(*arguments)


@pytest.mark.parametrize(("score", "least"), [("cosine", 2), ("pearson", 3)])
def test_the_fewest_channels_that_are_taken_give_scores_with_a_gradient(
    score, least, karate, features
):
    attention = make(score, heads=1, size=least)
    scores = attention.scores(features, prepare_graph(karate, 34))
    assert float(scores.abs().min()) < 0.9
    scores.sum().backward()
    assert float(attention.query.grad.abs().max()) > 1e-3
