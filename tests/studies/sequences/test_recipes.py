"""A recipe for every data set, fit for its windows."""

from __future__ import annotations

import pytest
import torch

from grandpp.data import SEQUENCES, load_sequences
from grandpp.layers import KINDS
from grandpp.studies.sequences.recipes import RECIPES


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_every_data_set_has_a_recipe():
    assert tuple(RECIPES) == SEQUENCES


@pytest.mark.parametrize("kind", KINDS)
def test_the_oscillators_fit_their_model(kind):
    recipe, windows = RECIPES["oscillator"], load_sequences("oscillator").test[:2]
    net = recipe.model(kind, batch_first=True, rtol=1e-3, atol=1e-3).double()
    assert net.initial.window == windows.x.size(1)
    out = net(windows.x, windows.times, horizon=windows.horizon)
    assert out.forecast.shape == windows.targets.shape


@pytest.mark.parametrize("kind", ["node", "hbnode"])
def test_a_new_jump_adds_what_it_sees(kind):
    net = RECIPES["plane-vibration"].model(kind)
    width = net.hidden_size * net.jumping
    x, h = torch.randn(2, 5), torch.randn(2, width)
    torch.testing.assert_close(net.cell(x, h) - h, net.cell(x, torch.zeros(2, width)))


def test_a_model_is_drawn_by_its_seed_and_nothing_else():
    state = torch.get_rng_state()
    first, again, other = (RECIPES["oscillator"].build("node", seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    weights = [net.initial.linear.weight for net in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].dtype == torch.float64


def test_only_linear_equations_are_built_with_the_exact_solver():
    assert RECIPES["walker2d"].build("sonode", solver="exact").solver.method == "exact"
    # The field of plane vibration starts at zero, which is linear.
    for dataset, kind in (("walker2d", "ghbnode"), ("plane-vibration", "hbnode")):
        with pytest.raises(TypeError, match="linear"):
            RECIPES[dataset].build(kind, solver="exact")
