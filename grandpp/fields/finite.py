"""Errors for values that are NaN or infinite, and the check of parameters."""

from __future__ import annotations

import torch
from torch import nn

from grandpp.linalg import all_finite


class NonFiniteFeaturesError(ValueError):
    """Features to be diffused are NaN or infinite."""


class NonFiniteParametersError(NonFiniteFeaturesError):
    """Parameters are NaN or infinite, and with them all features computed from them."""


def check_parameters(module: nn.Module) -> None:
    """Refuse a module whose training has diverged (one device read).

    Raises:
        NonFiniteParametersError: If a parameter is NaN or infinite.
    """
    if (words := describe_parameters(module)) is not None:
        raise NonFiniteParametersError(words)


def describe_parameters(module: nn.Module) -> str | None:
    """Name the parameters that are NaN or infinite; ``None`` if there are none."""
    named = dict(module.named_parameters())
    if not named:
        return None
    # As in all_finite: a sum passes NaN and infinity on.
    sums = [p.detach().double().sum() for p in named.values()]
    if bool(torch.stack(sums).isfinite().all()):
        return None
    bad = [name for name, p in named.items() if not all_finite(p.detach())]
    if not bad:
        return None
    return (
        f"expected finite parameters (got NaN or inf in {', '.join(map(repr, bad))}): training "
        "has diverged; lower the learning rate, or start again from an earlier state"
    )
