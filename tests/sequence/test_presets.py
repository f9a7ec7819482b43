from __future__ import annotations

import pytest
import torch

from grandpp.layers import KINDS, describe_module
from grandpp.sequence import plane_vibration_model, walker2d_model

# HBNODE paper sections 5.3 and 5.4; AdamNODE is not in the paper.
PLANE = {"node": 15_986, "anode": 16_730, "sonode": 16_649, "hbnode": 16_127, "ghbnode": 16_127}
WALKER = {"node": 8_729, "anode": 8_815, "hbnode": 8_899, "ghbnode": 8_899}


@pytest.mark.parametrize("kind", PLANE)
def test_plane_vibration_models_have_the_papers_size(kind):
    assert abs(describe_module(plane_vibration_model(kind))["parameters"] - PLANE[kind]) <= 2


@pytest.mark.parametrize("kind", WALKER)
def test_walker2d_models_have_the_papers_size(kind):
    assert abs(describe_module(walker2d_model(kind))["parameters"] - WALKER[kind]) <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_runs_on_both_tasks(kind):
    for make, inputs, window in ((plane_vibration_model, 5, 4), (walker2d_model, 17, None)):
        net = make(kind, solver="euler", **({} if window is None else {"window": window}))
        x, times = torch.randn(4, 2, inputs), torch.arange(1.0, 5.0).unsqueeze(1).expand(4, 2)
        out = net(x, times, horizon=times[-1:] + 1)
        assert out.outputs.shape == (4, 2, inputs)
        assert out.forecast.shape == (1, 2, inputs)
        (out.outputs.sum() + out.forecast.sum()).backward()
        # Nothing but the constants of an equation may be without effect.
        assert all(p.grad is not None for p in net.parameters())


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="'kind' to be one of node, anode"):
        plane_vibration_model("lstm")
    with pytest.raises(TypeError, match="colour"):
        walker2d_model("node", colour="red")
