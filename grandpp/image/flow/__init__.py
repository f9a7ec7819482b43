"""Continuous normalising flows of vectors and images (FFJORD) with any solver of the package."""

from grandpp.image.flow.bijection import Bijection, Chain, Mapped, standard_normal_log_prob
from grandpp.image.flow.continuous import ContinuousFlow
from grandpp.image.flow.dense import DenseFlow
from grandpp.image.flow.divergence import DIVERGENCES, DensityField, draw_noise
from grandpp.image.flow.layers import Logit, Squeeze, Standardize
from grandpp.image.flow.model import ImageFlow
from grandpp.image.flow.multiscale import MultiscaleFlow
from grandpp.image.flow.presets import ARCHITECTURES, IMAGE_FLOWS, describe_flow, image_flow

__all__ = [
    "ARCHITECTURES",
    "DIVERGENCES",
    "IMAGE_FLOWS",
    "Bijection",
    "Chain",
    "ContinuousFlow",
    "DenseFlow",
    "DensityField",
    "ImageFlow",
    "Logit",
    "Mapped",
    "MultiscaleFlow",
    "Squeeze",
    "Standardize",
    "describe_flow",
    "draw_noise",
    "image_flow",
    "standard_normal_log_prob",
]
