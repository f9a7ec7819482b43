"""Build GRAND, GRAND++ and heavy-ball models from a configuration."""

from __future__ import annotations

from typing import Any

from grandpp.fields import DEFAULT_GAIN
from grandpp.layers import GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.models import DiffusionClassifier

DIFFUSION_MODELS: tuple[str, ...] = (
    "grand-l",
    "grand-nl",
    "grand-nl-rw",
    "grand++-l",
    "grand++-nl",
    "grand++-nl-rw",
    "grand++-cluster-l",
    "grand++-cluster-nl",
    "hb-l",
    "hb-nl",
    "hb++-l",
    "hb++-nl",
    "ghb-l",
    "ghb-nl",
    "wave-l",
    "adam-l",
    "adam-nl",
)
# Equations of motion by the first part of a model's name; the part after it is the mode.
BALLS: dict[str, str] = {
    "hb": "hbnode",
    "hb++": "hbnode",
    "ghb": "ghbnode",
    "wave": "wave",
    "adam": "adamnode",
}


def family_of(model: str) -> str:
    """A model's name without its mode, for example ``"grand++"`` of ``"grand++-nl"``."""
    return model.removesuffix("-rw").removesuffix("-l").removesuffix("-nl")


def build_diffusion(config: Any, in_channels: int, out_channels: int) -> DiffusionClassifier:
    """Build the classifier around the diffusion layer that a configuration names.

    Args:
        config: The run.
        in_channels: Size of the features.
        out_channels: Number of classes.
    """
    shared: dict[str, Any] = {
        "time": config.time,
        "mode": "linear" if config.model.endswith("-l") else "nonlinear",
        "attention": config.attention,
        "heads": config.heads,
        "attention_channels": config.attention_channels,
        "normalization": config.normalization,
        "solver": config.solver,
        "rtol": config.rtol,
        "atol": config.atol,
        "step_size": config.step_size,
        "gradient": config.gradient,
    }
    return DiffusionClassifier(
        in_channels,
        out_channels,
        _build_layer(config, shared),
        input_dropout=config.input_dropout,
        dropout=config.dropout,
        layer_norm=config.layer_norm,
    )


def _build_layer(config: Any, shared: dict[str, Any]) -> GRANDConv | GRANDPPConv | HeavyBallConv:
    family = family_of(config.model)
    gain = DEFAULT_GAIN if config.source_gain is None else config.source_gain
    if family in BALLS:
        return HeavyBallConv(
            config.hidden,
            kind=BALLS[family],
            gamma=config.gamma,
            source=config.source,
            source_gain=gain,
            **shared,
        )
    shared["learn_beta"] = bool(config.learn_beta)
    if family == "grand":
        return GRANDConv(config.hidden, **shared)
    return GRANDPPConv(
        config.hidden,
        source=str(config.source),
        source_gain=gain,
        initial=str(config.initial),
        learn_gain=bool(config.learn_gain),
        **shared,
    )
