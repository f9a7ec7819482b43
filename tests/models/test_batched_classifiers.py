"""Classifiers together: each model's own logits and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from grandpp.layers import GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.models import (
    DiffusionClassifier,
    Member,
    can_classify_batched,
    classify_batched,
    sparse_if_sparse,
)

OPTIONS = {"time": 4.0, "solver": "exact", "rtol": 1e-12}


def classifiers(kind, count=3):
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        conv = GRANDPPConv(8, **OPTIONS) if kind == "grand++" else GRANDConv(8, **OPTIONS)
        model = DiffusionClassifier(12, 3, conv, layer_norm=True, input_dropout=0.0).double()
        torch.nn.init.normal_(model.conv.attention.query)
        torch.nn.init.normal_(model.conv.alpha_logit)
        made.append(model)
    return made


@pytest.mark.parametrize("kind", ["grand", "grand++"])
@pytest.mark.parametrize("density", [0.05, 1.0])
def test_logits_and_gradients_are_those_of_each_model_by_itself(karate, kind, density):
    torch.manual_seed(9)
    x = sparse_if_sparse(torch.rand(34, 12).double() * (torch.rand(34, 12) < density))
    masks = [torch.rand(34) < 0.3 for _ in range(3)]
    labels = torch.randint(0, 3, (34,))
    together, alone = classifiers(kind), classifiers(kind)
    members = [Member(m, mask, mask) for m, mask in zip(together, masks, strict=True)]
    joint = [output.logits for output in classify_batched(members, x, karate)]
    losses = [F.cross_entropy(z, labels[m]) for z, m in zip(joint, masks, strict=True)]
    torch.stack(losses).sum().backward()
    for model, other, mask, logits in zip(together, alone, masks, joint, strict=True):
        wanted = other.classify(x, karate, None, mask, wanted=mask).logits
        torch.testing.assert_close(logits, wanted, rtol=1e-9, atol=1e-9)
        F.cross_entropy(wanted, labels[mask]).backward()
        for a, b in zip(model.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-8, atol=1e-8)


def test_which_models_can_be_classified_together():
    assert all(map(can_classify_batched, classifiers("grand", 1) + classifiers("grand++", 1)))
    ball = DiffusionClassifier(12, 3, HeavyBallConv(8, solver="exact"))
    assert not can_classify_batched(ball)
    assert not can_classify_batched(torch.nn.Linear(12, 3))


def test_a_graph_that_is_sorted_anew_for_every_model_is_served_too(karate):
    x, models = torch.rand(34, 12).double(), classifiers("grand")
    with torch.inference_mode():
        found = classify_batched([Member(m.eval()) for m in models], x, karate.clone())
        wanted = [m.classify(x, karate) for m in models]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.logits, other.logits, rtol=1e-9, atol=1e-9)


def test_models_of_several_times_are_refused(karate):
    first, second, _ = classifiers("grand")
    second.conv.time = 2.0
    with pytest.raises(ValueError, match="one time"):
        classify_batched([Member(first), Member(second)], torch.rand(34, 12).double(), karate)


def test_layers_that_somebody_watches_are_refused(karate):
    models = classifiers("grand")
    models[1].conv.register_message_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match="hooks"):
        classify_batched([Member(m) for m in models], torch.rand(34, 12).double(), karate)
