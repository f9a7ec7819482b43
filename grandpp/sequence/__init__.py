"""Neural ODEs on time series; they never touch a graph."""

from grandpp.sequence.adjoints import AdjointNorms
from grandpp.sequence.cells import LinearCell, MLPCell, WindowInitial
from grandpp.sequence.forecasting import Forecasting
from grandpp.sequence.growth import GROWTH_MODELS, Growth, driven_model, growth
from grandpp.sequence.inspection import forecast_curve, probe_adjoint
from grandpp.sequence.ode_rnn import ODERNN
from grandpp.sequence.output import ODERNNOutput
from grandpp.sequence.presets import (
    PLANE_VIBRATION_CHANNELS,
    WALKER2D_CHANNELS,
    plane_vibration_model,
    walker2d_model,
)
from grandpp.sequence.recipes import RECIPES, oscillator_model
from grandpp.sequence.window_set import Splits

__all__ = [
    "GROWTH_MODELS",
    "ODERNN",
    "PLANE_VIBRATION_CHANNELS",
    "RECIPES",
    "WALKER2D_CHANNELS",
    "AdjointNorms",
    "Forecasting",
    "Growth",
    "LinearCell",
    "MLPCell",
    "ODERNNOutput",
    "Splits",
    "WindowInitial",
    "driven_model",
    "forecast_curve",
    "growth",
    "oscillator_model",
    "plane_vibration_model",
    "probe_adjoint",
    "walker2d_model",
]
