"""Configurations become the models and optimisers that they name."""

from __future__ import annotations

import copy

import pytest
import torch

from grandpp.layers import GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training import build_optimizer
from grandpp.training.settings import OPTIMIZERS


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


def test_the_optimiser_is_the_one_named_and_trains_what_is_to_be_trained():
    config = tuned_run("Cora", "grand-l", 20)
    model = config.settings.build(12, 3)
    model.decoder.bias.requires_grad_(False)
    optimizer = build_optimizer(config, model)
    assert type(optimizer).__name__ == config.settings.optimizer == "Adamax"
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (
        config.settings.lr,
        config.settings.weight_decay,
    )
    trained = {id(p) for p in group["params"]}
    assert trained == {id(p) for p in model.parameters()} - {id(model.decoder.bias)}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_stepping_all_parameters_at_once_takes_the_same_steps(name):
    config = tuned_run("Cora", "grand-l", 20, hidden=8, attention_channels=8)
    config = config.with_settings(optimizer=name)
    torch.manual_seed(0)
    model = config.settings.build(12, 3)
    twin = copy.deepcopy(model)
    ours, settings = build_optimizer(config, model), config.settings
    plain = getattr(torch.optim, name)(
        twin.parameters(),
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        foreach=False,
    )
    for _ in range(6):
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        ours.step()
        plain.step()
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [({"solver": "exact"}, "linear"), ({"time": -1.0}, "time")],
)
def test_settings_that_do_not_fit_are_refused(overrides, words):
    with pytest.raises(ValueError, match=words):
        build("grand-nl", **overrides)
