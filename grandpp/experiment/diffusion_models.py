"""From a configuration to a model and its optimiser."""

from __future__ import annotations

from typing import Any

import torch

from grandpp.experiment.config import BALLS, RunConfig, family_of
from grandpp.fields import DEFAULT_GAIN
from grandpp.layers import GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.models import DiffusionClassifier, NodeClassifier, gat, gcn, mlp


def build_model(config: RunConfig, in_channels: int, out_channels: int) -> NodeClassifier:
    """Build the model a configuration describes, with parameters drawn from torch's generator.

    Args:
        config: The run.
        in_channels: Size of the features.
        out_channels: Number of classes.

    Raises:
        ValueError: For a choice that the model does not take.
    """
    if config.model == "gcn":
        return gcn(in_channels, config.hidden, out_channels, config.dropout)
    if config.model == "gat":
        return gat(in_channels, config.hidden, out_channels, config.dropout, config.heads)
    if config.model == "mlp":
        return mlp(in_channels, config.hidden, out_channels, config.dropout)
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


def _build_layer(
    config: RunConfig, shared: dict[str, Any]
) -> GRANDConv | GRANDPPConv | HeavyBallConv:
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
    if family == "grand":
        return GRANDConv(config.hidden, **shared)
    return GRANDPPConv(
        config.hidden,
        source=str(config.source),
        source_gain=gain,
        initial=str(config.initial),
        **shared,
    )


def build_optimizer(config: RunConfig, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Build the optimiser a configuration describes."""
    kind = getattr(torch.optim, config.optimizer)
    parameters = [p for p in model.parameters() if p.requires_grad]
    return kind(parameters, lr=config.lr, weight_decay=config.weight_decay)
