"""The error norm passed to torchdiffeq."""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.solvers.base import parts_of
from grandpp.vector_field import State


@torch.no_grad()
def detached_norm(y: State) -> Tensor:
    """RMS norm, the largest over the parts of a tuple, outside of autograd.

    Through its norm torchdiffeq lets the first step size depend on the state and back-propagates
    into it, at the price of two reductions per stage; the step size is a decision, not a part of
    the mathematics.
    """
    return torch.stack([part.abs().square().mean().sqrt() for part in parts_of(y)]).max()
