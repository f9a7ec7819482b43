"""Right-hand sides of the equations, from graphs and parameters; independent of solvers."""

from grandpp.fields.adam import Adam
from grandpp.fields.attention import ATTENTIONS, NORMALIZATIONS, EdgeAttention
from grandpp.fields.base import LinearDiffusion, NonlinearDiffusion
from grandpp.fields.bound import as_bound
from grandpp.fields.damped import DampedDiffusion
from grandpp.fields.dense import ConvField, DrivenField, MLPField
from grandpp.fields.diffusion import GraphDiffusion
from grandpp.fields.dynamics import Augmented, Dynamics, TimeScaled, time_scaled
from grandpp.fields.finite import (
    NonFiniteFeaturesError,
    NonFiniteParametersError,
    check_parameters,
)
from grandpp.fields.joined import JoinedDiffusion
from grandpp.fields.momentum import GeneralizedHeavyBall, HeavyBall, SecondOrder
from grandpp.fields.oscillation import LinearOscillation, Wave
from grandpp.fields.precision import LowPrecision
from grandpp.fields.random_walk import walk_measure
from grandpp.fields.source import DEFAULT_GAIN, INITIALS, SOURCES, TrustedSource
from grandpp.fields.stationary import StationaryError, stationary_measure
from grandpp.fields.trust import trust_weights
from grandpp.linalg import squareplus
from grandpp.vector_field import BoundField as Bound
from grandpp.vector_field import Rate

__all__ = [
    "ATTENTIONS",
    "DEFAULT_GAIN",
    "INITIALS",
    "NORMALIZATIONS",
    "SOURCES",
    "Adam",
    "Augmented",
    "Bound",
    "ConvField",
    "DampedDiffusion",
    "DrivenField",
    "Dynamics",
    "EdgeAttention",
    "GeneralizedHeavyBall",
    "GraphDiffusion",
    "HeavyBall",
    "JoinedDiffusion",
    "LinearDiffusion",
    "LinearOscillation",
    "LowPrecision",
    "MLPField",
    "NonFiniteFeaturesError",
    "NonFiniteParametersError",
    "NonlinearDiffusion",
    "Rate",
    "SecondOrder",
    "StationaryError",
    "TimeScaled",
    "TrustedSource",
    "Wave",
    "as_bound",
    "check_parameters",
    "squareplus",
    "stationary_measure",
    "time_scaled",
    "trust_weights",
    "walk_measure",
]
