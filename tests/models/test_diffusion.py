"""Encoder, diffusion, decoder."""

from __future__ import annotations

import pytest
import torch

from grandpp.layers import GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.models import DiffusionClassifier, SparseFeatures, gcn, mlp
from grandpp.solvers import SolveError


def test_diffusion_classifier_passes_trusted_nodes_on_and_reports_the_cost(karate, sparse_x):
    torch.manual_seed(0)
    conv = GRANDPPConv(8, time=4.0, heads=2, source_gain=1.0, solver="exact")
    model = DiffusionClassifier(50, 3, conv, layer_norm=True).eval()
    output = model.classify(sparse_x, karate, source_index=torch.tensor([0, 33]))
    assert output.logits.shape == (34, 3)
    assert output.stats.nfe_forward > 4
    assert (output.logits - model(sparse_x, karate)).abs().max() > 1e-4
    other = model(SparseFeatures.from_dense(sparse_x), karate, None, torch.tensor([0, 33]))
    torch.testing.assert_close(other, output.logits)


def test_logits_equal_decoder_of_diffused_encoder(karate, sparse_x):
    torch.manual_seed(0)
    conv = GRANDConv(8, time=2.0, heads=2)
    model = DiffusionClassifier(50, 3, conv).eval()
    expected = model.decoder(conv(model.encoder(sparse_x), karate).relu())
    torch.testing.assert_close(model(sparse_x, karate), expected)


@pytest.mark.parametrize("as_mask", [True, False])
@pytest.mark.parametrize("kind", ["diffusion", "gcn", "mlp"])
def test_wanted_nodes_get_the_logits_they_have_among_all(kind, as_mask, karate, sparse_x):
    torch.manual_seed(0)
    size = sparse_x.size(1)
    models = {
        "diffusion": lambda: DiffusionClassifier(size, 3, GRANDConv(4), layer_norm=True),
        "gcn": lambda: gcn(size, 4, 3, 0.5),
        "mlp": lambda: mlp(size, 4, 3, 0.5),
    }
    model = models[kind]().eval()
    index = torch.tensor([1, 5, 30])
    mask = torch.zeros(34, dtype=torch.bool)
    mask[index] = True
    wanted = mask if as_mask else index
    logits = model.classify(sparse_x, karate, wanted=wanted).logits
    torch.testing.assert_close(logits, model(sparse_x, karate)[index])


def test_along_the_trajectory_stand_the_logits_of_other_end_times(karate, sparse_x):
    torch.manual_seed(0)
    model = DiffusionClassifier(50, 3, GRANDConv(8, time=2.0, heads=2)).eval()
    found = model.classify_along(sparse_x, karate, times=[0.0, 0.5, 7.0])
    for time, logits in zip((0.0, 0.5, 7.0), found, strict=True):
        model.conv.time = time
        torch.testing.assert_close(logits, model(sparse_x, karate), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="expected times"):
        model.classify_along(sparse_x, karate, times=[])
    with pytest.raises(ValueError, match="save_at"):
        model.classify_along(sparse_x, karate, times=[2.0, 1.0])


def test_times_that_are_not_reached_are_left_out_or_an_error(karate, sparse_x):
    torch.manual_seed(0)
    conv = GRANDConv(8, time=2.0, mode="nonlinear", heads=2, max_nfe=60)
    model = DiffusionClassifier(50, 3, conv).eval()
    times = [2.0, 4.0, 6.0, 200.0, 300.0]
    found = model.classify_along(sparse_x, karate, times=times, throw=False)
    assert 1 <= len(found) <= 4
    assert all(logits.isfinite().all() for logits in found)
    torch.testing.assert_close(found[0], model(sparse_x, karate), rtol=1e-3, atol=1e-3)
    with pytest.raises(SolveError):
        model.classify_along(sparse_x, karate, times=times)


@pytest.mark.parametrize("layer", [GRANDPPConv, HeavyBallConv])
def test_a_trajectory_beyond_the_end_time_has_the_source_of_the_layer(layer, karate, sparse_x):
    torch.manual_seed(0)
    conv = layer(8, time=3.0, heads=2, source="balanced", source_gain=5.0, solver="exact")
    torch.nn.init.normal_(conv.attention.query)
    model = DiffusionClassifier(50, 3, conv).eval()
    index = torch.tensor([0, 33, 5])
    at_end, _ = model.classify_along(sparse_x, karate, None, index, times=[3.0, 9.0])
    expected = model.classify(sparse_x, karate, source_index=index).logits
    torch.testing.assert_close(at_end, expected, rtol=1e-4, atol=1e-5)
    assert conv.source_time is None
