"""Constants given at construction, through what is done to a module."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from grandpp.fields import GeneralizedHeavyBall, HeavyBall, TrustedSource
from grandpp.fields.adam import Adam

MAKERS = {
    "source": lambda: TrustedSource(gain=0.3),
    "heavy ball": lambda: HeavyBall(gamma=0.3),
    "ghbnode": lambda: GeneralizedHeavyBall(gamma=0.3, xi=0.3),
    "adamnode": lambda: Adam(alpha=0.3, beta=0.3),
}


NAMES = ("gain", "fixed_gamma", "fixed_xi", "fixed_alpha", "fixed_beta")


def constants(module):
    return [float(getattr(m, n)) for m in module.modules() for n in NAMES if hasattr(m, n)]


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("narrow", [torch.float32, torch.bfloat16])
def test_a_way_through_another_precision_leaves_the_constants_as_given(maker, narrow):
    module = torch.nn.Sequential(maker()).to(narrow)
    for again in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert set(constants(again.double())) == {0.3}


def test_a_module_made_without_memory_has_its_constants_once_it_has_memory():
    with torch.device("meta"):
        module = TrustedSource(gain=0.3)
    assert constants(module.to_empty(device="cpu")) == [0.3]


@pytest.mark.parametrize("maker", [m for n, m in MAKERS.items() if n != "source"])
def test_a_constant_works_with_states_on_another_device(maker):
    dynamics = maker().to("meta")
    with torch.device("meta"):
        state = dynamics.start(torch.zeros(3, 2), None)
        rate = dynamics.prepare(lambda t, h: torch.tanh(h))
        assert rate(torch.zeros(()), state).device.type == "meta"
