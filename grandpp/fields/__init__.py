"""Right-hand sides: they know graphs and parameters and no solver."""

from grandpp.fields.attention import ATTENTIONS, NORMALIZATIONS, EdgeAttention, squareplus
from grandpp.fields.base import LinearDiffusion, NonlinearDiffusion
from grandpp.fields.diffusion import GraphDiffusion
from grandpp.fields.source import DEFAULT_GAIN, INITIALS, SOURCES, TrustedSource
from grandpp.fields.stationary import StationaryError, stationary_measure

__all__ = [
    "ATTENTIONS",
    "DEFAULT_GAIN",
    "INITIALS",
    "NORMALIZATIONS",
    "SOURCES",
    "EdgeAttention",
    "GraphDiffusion",
    "LinearDiffusion",
    "NonlinearDiffusion",
    "StationaryError",
    "TrustedSource",
    "squareplus",
    "stationary_measure",
]
