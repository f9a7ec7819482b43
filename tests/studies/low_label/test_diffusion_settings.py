"""Settings build the models that they name."""

from __future__ import annotations

import pytest
import torch

from grandpp.layers import GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.studies.low_label.zoo import tuned_run


def build(model, **overrides):
    return tuned_run("Cora", model, 20, **overrides).settings.build(12, 3)


@pytest.mark.parametrize(
    ("model", "kind", "mode"),
    [
        ("grand-l", GRANDConv, "linear"),
        ("grand-nl", GRANDConv, "nonlinear"),
        ("grand++-l", GRANDPPConv, "linear"),
        ("grand++-nl", GRANDPPConv, "nonlinear"),
        ("hb-l", HeavyBallConv, "linear"),
    ],
)
def test_names_become_layers_between_an_encoder_and_a_decoder(model, kind, mode):
    built = build(model, time=3.0)
    assert type(built.conv) is kind
    assert (built.conv.mode, built.conv.time) == (mode, 3.0)
    assert built.conv.attention.normalization == "squareplus"
    assert (built.encoder.linear.in_features, built.decoder.out_features) == (12, 3)
    assert (built.encoder.dropout, built.dropout) == (0.5, pytest.approx(0.047, abs=1e-3))


@pytest.mark.parametrize("model", ["grand-l", "gcn", "gat", "mlp"])
def test_the_same_seed_draws_the_same_parameters(model):
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(torch.cat([p.detach().reshape(-1) for p in build(model).parameters()]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [({"solver": "exact"}, "linear"), ({"time": -1.0}, "time")],
)
def test_settings_that_do_not_fit_are_refused(overrides, words):
    with pytest.raises(ValueError, match=words):
        build("grand-nl", **overrides)
