"""Neural ODEs on time series; they never touch a graph."""

from grandpp.sequence.growth import GROWTH_MODELS, Growth, driven_model, growth

__all__ = ["GROWTH_MODELS", "Growth", "driven_model", "growth"]
