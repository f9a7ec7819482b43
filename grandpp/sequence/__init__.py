"""Neural ODEs on irregular time series: ODE-RNNs of first and second order."""

from grandpp.sequence.adjoints import AdjointNorms
from grandpp.sequence.cells import LinearCell, MLPCell, WindowInitial
from grandpp.sequence.ode_rnn import ODERNN
from grandpp.sequence.output import ODERNNOutput
from grandpp.sequence.presets import (
    PLANE_VIBRATION_CHANNELS,
    WALKER2D_CHANNELS,
    plane_vibration_model,
    walker2d_model,
)

__all__ = [
    "ODERNN",
    "PLANE_VIBRATION_CHANNELS",
    "WALKER2D_CHANNELS",
    "AdjointNorms",
    "LinearCell",
    "MLPCell",
    "ODERNNOutput",
    "WindowInitial",
    "plane_vibration_model",
    "walker2d_model",
]
