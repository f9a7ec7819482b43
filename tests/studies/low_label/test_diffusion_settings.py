"""Settings build the models that they name."""

from __future__ import annotations

import pytest
import torch

from grandpp.data import low_label_split, sbm
from grandpp.layers import GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.loop import TrainingRun


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


def test_a_centred_model_subtracts_the_mean_of_its_graph_in_training_and_batches():
    graph = sbm(300, 900, num_classes=3, num_features=64, words_per_node=8, seed=1)
    run = tuned_run("sbm", "grand-l", 1, protocol="no_val", centred=True, epochs=1)
    split = low_label_split(graph, 1, 0, "no_val")
    training = TrainingRun.begin(run, split, torch.device("cpu"))
    torch.testing.assert_close(training.model.encoder.centre, graph.x.mean(dim=0))
    plain = tuned_run("sbm", "grand-l", 1, protocol="no_val", epochs=1)
    assert plain.config_hash != run.config_hash
    assert plain.config_hash == tuned_run("sbm", "grand-l", 1, protocol="no_val", epochs=1,
                                          centred=None).config_hash  # fmt: skip
