"""Graph diffusion layers and neural ODEs as ``torch.nn`` modules."""

from grandpp.layers.cgnn_conv import CGNNConv
from grandpp.layers.describe import describe_module
from grandpp.layers.grand_conv import GRANDConv
from grandpp.layers.grandpp_conv import GRANDPPConv
from grandpp.layers.heavy_ball_conv import HeavyBallConv
from grandpp.layers.neural_ode import KINDS, NeuralODE, make_dynamics

__all__ = [
    "KINDS",
    "CGNNConv",
    "GRANDConv",
    "GRANDPPConv",
    "HeavyBallConv",
    "NeuralODE",
    "describe_module",
    "make_dynamics",
]
