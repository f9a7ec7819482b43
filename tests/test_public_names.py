"""What ``import grandpp`` offers, and how the public layers say what they take."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest
import torch

import grandpp
from grandpp import fields
from grandpp.layers.base import DiffusionConv
from grandpp.sequence.cells import LinearCell

CONVS = [grandpp.GRANDConv, grandpp.GRANDPPConv, grandpp.HeavyBallConv, grandpp.CGNNConv]
LAYERS = [*CONVS, grandpp.NeuralODE, grandpp.ODERNN, grandpp.ODEClassifier]


def test_every_layer_and_the_usual_entry_points_come_from_the_package_itself():
    names = {
        "GRANDConv", "GRANDPPConv", "HeavyBallConv", "CGNNConv", "NeuralODE", "ODERNN",
        "ODEClassifier", "DiffusionClassifier", "load_dataset", "solve", "SolveError",
    }  # fmt: skip
    assert names <= set(grandpp.__all__)
    assert all(hasattr(grandpp, name) for name in grandpp.__all__)


def test_names_that_the_package_lacks_are_attribute_errors_and_rooms_are_found():
    assert set(grandpp.__all__) <= set(dir(grandpp))
    assert grandpp.solvers.solve is grandpp.solve
    with pytest.raises(AttributeError, match="module 'grandpp' has no attribute 'GRANDConvs'"):
        _ = grandpp.GRANDConvs


def test_type_checkers_are_told_the_names_that_there_are():
    tree = ast.parse(Path(grandpp.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = [(node.module, alias.name) for node in block.body for alias in node.names]
    assert sorted(name for _, name in told) == sorted(grandpp.__all__)
    for module, name in told:
        assert getattr(import_module(module), name) is getattr(grandpp, name)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_every_argument_stands_typed_and_documented_in_the_signature(layer):
    parameters = inspect.signature(layer).parameters.values()
    for parameter in parameters:
        assert parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        assert parameter.annotation is not parameter.empty, parameter
        assert f"{parameter.name}:" in layer.__doc__ or f"{parameter.name}," in layer.__doc__
    assert "**kwargs" not in layer.__doc__


@pytest.mark.parametrize("layer", CONVS, ids=lambda layer: layer.__name__)
def test_a_misspelt_keyword_names_the_layer_and_itself(layer):
    with pytest.raises(TypeError, match=f"{layer.__name__}.*'tme'"):
        layer(4, tme=3)


@pytest.mark.parametrize("layer", CONVS[:3], ids=lambda layer: layer.__name__)
def test_layers_share_the_options_of_diffusion_and_their_defaults(layer):
    own, shared = (inspect.signature(kind).parameters for kind in (layer, DiffusionConv))
    for name, parameter in shared.items():
        assert own[name].default == parameter.default, name
    options = {
        "time": 2.0, "mode": "nonlinear", "attention": "cosine", "heads": 2, "rtol": 0.01,
        "attention_channels": 6, "normalization": "squareplus", "self_loop_weight": 0.5,
        "learn_alpha": False, "learn_beta": True, "solver": "dopri5", "atol": 0.125,
        "max_nfe": 77, "gradient": "checkpoint",
    }  # fmt: skip
    made, base = layer(4, **options), DiffusionConv(4, **options)
    assert made.solver == base.solver and made.time == base.time
    assert str(made.attention) == str(base.attention)
    assert (made.mode, made.self_loop_weight) == ("nonlinear", 0.5)
    assert made.alpha_logit is None and made.beta is not None


RESETTABLE = {
    "GRANDConv": (grandpp.GRANDConv, (4,)),
    "GRANDPPConv": (grandpp.GRANDPPConv, (4,)),
    "HeavyBallConv": (grandpp.HeavyBallConv, (4,)),
    "EdgeAttention": (fields.EdgeAttention, (4, 4)),
    "TrustedSource": (fields.TrustedSource, ("paper", 0.5, "zero", True)),
    "HeavyBall": (fields.HeavyBall, ()),
    "GeneralizedHeavyBall": (fields.GeneralizedHeavyBall, ()),
    "Adam": (fields.Adam, ()),
    "LinearCell": (LinearCell, (2, 3)),
}


@pytest.mark.parametrize("name", RESETTABLE)
def test_a_subclass_with_a_parameter_is_reset_after_it_is_built(name):
    base, arguments = RESETTABLE[name]

    class Scaled(base):
        def __init__(self) -> None:
            super().__init__(*arguments)
            self.scale = torch.nn.Parameter(torch.empty(()))
            self.reset_parameters()

        def reset_parameters(self) -> None:
            super().reset_parameters()
            torch.nn.init.ones_(self.scale)  # fails where a base class resets too early

    assert Scaled().scale.item() == 1.0
