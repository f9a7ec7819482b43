"""The tensors that a right-hand side depends on besides its arguments.

A backward pass that evaluates f anew can return gradients only to tensors it was told of; those
it was not told of would silently get none.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from grandpp.solvers.base import BoundField, State, VectorField, parts_of
from grandpp.solvers.recorder import Recorder, detached


def named_tensors(f: VectorField) -> tuple[Tensor, ...]:
    """Captured tensors that a field names itself: ``captured``, or the parameters of a module."""
    if isinstance(f, BoundField):
        return tuple(f.captured)
    if isinstance(f, torch.nn.Module):
        return tuple(p for p in f.parameters() if p.requires_grad)
    return ()


def captured_tensors(recorder: Recorder, t: Tensor, y: State) -> tuple[Tensor, ...]:
    """Every captured tensor of the recorder's field; refuse a field that hides some.

    A function cannot name what it captured, so it is evaluated once, at a state without a
    gradient, to see whether its value wants one all the same.

    Args:
        recorder: Counts that evaluation.
        t: The start time.
        y: The initial state.

    Raises:
        ValueError: If a function captured tensors that want a gradient.
    """
    f = recorder.f
    if isinstance(f, BoundField | torch.nn.Module) or not torch.is_grad_enabled():
        return named_tensors(f)
    now = t.detach().to(parts_of(y)[0].dtype.to_real())
    if any(part.requires_grad for part in parts_of(recorder(now, detached(y)))):
        raise ValueError(
            "expected an nn.Module or a BoundField, or gradient='direct': the gradient to the "
            f"tensors that f captured would be lost (got a {type(f).__name__})"
        )
    return ()


def bind_tensors(f: VectorField, tensors: Sequence[Tensor]) -> VectorField:
    """Let a field use other tensors in place of those it names; a module keeps its own."""
    return f.bind(tensors) if isinstance(f, BoundField) else f


def fresh_leaves(f: VectorField, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The same values to differentiate by, cut off from one another.

    Differentiating by the originals counts a gradient twice where one of them was computed from
    another; parameters are leaves already.
    """
    if not isinstance(f, BoundField):
        return tuple(tensors)
    return tuple(c.detach().requires_grad_(c.requires_grad) for c in tensors)


def autocast_state(x: Tensor) -> tuple[str, bool, torch.dtype]:
    """Device type of ``x``, and whether and how precisions are mixed there just now."""
    device = x.device.type
    return device, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
