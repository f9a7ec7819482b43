"""Build the model and the optimiser of a configuration."""

from __future__ import annotations

import torch

from grandpp.models import NodeClassifier
from grandpp.training.config import RunConfig
from grandpp.training.registry import REGISTRY


def build_model(config: RunConfig, in_channels: int, out_channels: int) -> NodeClassifier:
    """Build the model a configuration describes, with parameters drawn from torch's generator.

    Args:
        config: The run.
        in_channels: Size of the features.
        out_channels: Number of classes.

    Raises:
        ValueError: For a choice that the model does not take.
    """
    return REGISTRY[config.model].build(config, in_channels, out_channels)


def build_optimizer(config: RunConfig, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Build the optimiser a configuration describes.

    Raises:
        ValueError: If the model has nothing to train.
    """
    if config.optimizer is None:
        raise ValueError(f"expected a model that is trained by gradient (got '{config.model}')")
    kind = getattr(torch.optim, config.optimizer)
    parameters = [p for p in model.parameters() if p.requires_grad]
    # The same arithmetic for all parameters at once, which the CPU does not do unless asked to: the
    # same bits in a third of the time.
    return kind(parameters, lr=config.lr, weight_decay=config.weight_decay, foreach=True)
