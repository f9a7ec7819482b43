"""Growth of random models along a signal."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.fields import GeneralizedHeavyBall
from grandpp.studies.silverbox.growth import GROWTH_MODELS, driven_model, growth


@pytest.fixture(scope="module")
def signal():
    t = torch.arange(70, dtype=torch.float64)
    return 2 * (0.4 * t).sin(), 3 * (0.3 * t).cos()


@pytest.mark.parametrize("model", GROWTH_MODELS)
def test_models_are_one_dense_layer_with_the_papers_constants(model, signal):
    net = driven_model(model, signal[0])
    n = 2 if model == "anode" else 1
    assert net.field.linear.weight.shape == (n, (2 if model in ("sonode", "anode") else 1) + 1)
    x = torch.zeros(1, 1, dtype=torch.float64)
    assert (net.initial is None) == (model in ("node", "anode"))
    if net.initial is not None:  # a momentum that is drawn, whatever the position
        assert float(net.initial(x).detach()) == float(net.initial(x + 1).detach()) != 0
    if model == "ghbnode":
        assert isinstance(net.dynamics, GeneralizedHeavyBall)
        assert net.dynamics.activation == "hardtanh"
        assert float(net.dynamics.xi.detach()) == pytest.approx(math.log(2))


def test_bounded_models_stay_bounded_where_the_heavy_ball_grows(signal):
    ends = {}
    for model in ("hbnode", "ghbnode", "adamnode"):
        runs = [growth(model, draw, *signal, tolerance=1e-4) for draw in range(2)]
        assert [run.status for run in runs] == ["success"] * 2
        assert all(len(run.norms) == 65 for run in runs)
        assert runs[0].norms[0] == pytest.approx(3.0)
        ends[model] = sum(math.log10(run.norms[-1]) for run in runs) / 2
        if model != "hbnode":
            assert max(max(run.norms) for run in runs) < 100
    assert ends["hbnode"] > ends["adamnode"] + 3
    assert ends["hbnode"] > ends["ghbnode"] + 3


def test_a_short_signal_and_an_unknown_model_are_named():
    short = torch.zeros(64)
    with pytest.raises(ValueError, match=r"more than 64 samples.*\(got 64\)"):
        growth("node", 0, short, short)
    with pytest.raises(ValueError, match=r"\(got 'rnn'\)"):
        driven_model("rnn", short)
