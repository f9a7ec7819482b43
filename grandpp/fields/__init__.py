"""Right-hand sides: they know graphs and parameters and no solver."""

from grandpp.fields.attention import ATTENTIONS, NORMALIZATIONS, EdgeAttention, squareplus
from grandpp.fields.base import LinearDiffusion, NonlinearDiffusion
from grandpp.fields.diffusion import GraphDiffusion
from grandpp.fields.source import INITIALS, SOURCES, TrustedSource
from grandpp.fields.stationary import stationary_measure

__all__ = [
    "ATTENTIONS",
    "INITIALS",
    "NORMALIZATIONS",
    "SOURCES",
    "EdgeAttention",
    "GraphDiffusion",
    "LinearDiffusion",
    "NonlinearDiffusion",
    "TrustedSource",
    "squareplus",
    "stationary_measure",
]
