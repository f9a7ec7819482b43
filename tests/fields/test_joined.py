"""Joined fields: each copy follows its own equation, at one common rate."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from grandpp.fields import GraphDiffusion, JoinedDiffusion

T = torch.tensor(0.0)


@pytest.fixture
def fields(karate):
    bound = []
    for seed in range(3):
        torch.manual_seed(seed)
        module = GraphDiffusion(4, learn_beta=True).double()
        torch.nn.init.normal_(module.alpha_logit)
        torch.nn.init.normal_(module.beta)
        torch.nn.init.normal_(module.attention.query)
        bound.append(module.prepare(torch.randn(34, 4, dtype=torch.float64), karate))
    return bound


def test_every_copy_follows_its_own_equation(fields):
    y = torch.randn(3, 34, 4, dtype=torch.float64)
    joined = JoinedDiffusion.of(fields)
    wanted = torch.cat([f(T, part) for f, part in zip(fields, y, strict=True)])
    torch.testing.assert_close(joined(T, y.view(-1, 4)), wanted)


def test_the_common_operator_is_row_stochastic_and_the_fastest_copy_keeps_its_own(fields):
    joined = JoinedDiffusion.of(fields)
    assert bool((joined.weight >= 0).all())
    sums = joined.csr.matrix(joined.weight.detach()).to_dense().sum(1)
    torch.testing.assert_close(sums, torch.ones_like(sums))
    rates = [f.alpha.item() for f in fields]
    assert len(set(rates)) == 3
    assert float(joined.alpha) == max(rates)
    fastest = rates.index(max(rates))
    own = joined.weight.view(3, -1)[fastest]
    assert torch.equal(own, fields[fastest].weight)


def test_a_rate_of_zero_stands_still(fields):
    zero = torch.zeros((), dtype=torch.float64)
    joined = JoinedDiffusion.of([replace(f, alpha=zero, source=None) for f in fields])
    y = torch.randn(102, 4, dtype=torch.float64)
    assert bool(joined.weight.isfinite().all())
    assert float(joined(T, y).abs().max()) == 0


def test_walks_stay_reversible_and_attention_is_not(karate, fields):
    x = torch.randn(34, 4, dtype=torch.float64)
    walks = [GraphDiffusion(4, attention=None).double().prepare(x, karate) for _ in range(2)]
    assert JoinedDiffusion.of(walks).reversible
    assert JoinedDiffusion.of(walks).source is None
    plain = replace(fields[0], source=None)
    assert not JoinedDiffusion.of([walks[0], plain]).reversible


def test_several_graphs_and_lonely_sources_are_refused(fields, path):
    lonely = replace(fields[0], source=None)
    with pytest.raises(ValueError, match="got 1 of 2"):
        JoinedDiffusion.of([lonely, fields[1]])
    other = GraphDiffusion(4).double().prepare(torch.randn(4, 4, dtype=torch.float64), path)
    with pytest.raises(ValueError, match="several graphs"):
        JoinedDiffusion.of([lonely, other])
