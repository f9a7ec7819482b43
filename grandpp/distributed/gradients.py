"""Gradients of parameters that every rank has a copy of."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import nn

from grandpp.distributed.exchange import communicating


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradient of every parameter by its sum over all ranks, one message per type.

    Call it between ``backward()`` and the step of the optimiser, on all ranks, with the same
    parameters.

    Raises:
        LostRankError: If another rank is gone.
    """
    grads = [p.grad for p in parameters if p.grad is not None]
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return
    for dtype in sorted({g.dtype for g in grads}, key=str):
        same = [g for g in grads if g.dtype == dtype]
        total = torch.cat([g.reshape(-1) for g in same])
        with communicating():
            dist.all_reduce(total)
        for grad, part in zip(same, total.split([g.numel() for g in same]), strict=True):
            grad.copy_(part.view_as(grad))
