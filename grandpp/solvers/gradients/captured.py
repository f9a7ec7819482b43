"""The tensors that a right-hand side depends on besides its arguments.

A backward pass that evaluates f again can return gradients only to listed tensors; others would
silently get none.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from grandpp.solvers.base import parts_of
from grandpp.solvers.checks import check_state
from grandpp.solvers.gradients.counting import CountedField, First, detached
from grandpp.solvers.gradients.inspection import check_repeatable, leaves_of
from grandpp.vector_field import AnyField, BoundField, State


def named_tensors(f: AnyField) -> tuple[Tensor, ...]:
    """Captured tensors that a field names itself: ``captured``, or the parameters of a module."""
    if isinstance(f, BoundField):
        return tuple(f.captured)
    if isinstance(f, torch.nn.Module):
        return tuple(p for p in f.parameters() if p.requires_grad)
    return ()


def captured_tensors(
    counted_field: CountedField, t: Tensor, y: State, gradient: str
) -> tuple[Tensor, ...]:
    """Return every tensor that a counted field captured; raise an error for a function with some.

    The field is evaluated at a state that wants a gradient, and the graph of its value is followed
    down to its leaves, once per solve. A leaf that a module or a bound field did not name is added
    to its tensors, be it used directly (a network kept in a dictionary, a parameter in a hook) or
    behind a result computed before the solve, whose graph every repeated evaluation then passes.
    The value is kept: it is the first one that a solver needs.

    Args:
        counted_field: Counts that evaluation; it takes none where gradients are off.
        t: The start time.
        y: The initial state.
        gradient: Name of the gradient, for messages.

    Raises:
        ValueError: If a function captured tensors that want a gradient, or if a field is random
            or changes its buffers.
        TypeError, ValueError: See :func:`~grandpp.solvers.checks.check_state` and
            :func:`~grandpp.solvers.checks.check_rate`.
    """
    f = counted_field.f
    named = named_tensors(f)
    if not torch.is_grad_enabled():
        return named
    check_state(y)
    now = t.detach().to(parts_of(y)[0].dtype.to_real())
    leaves = fresh_leaves(f, named)
    starts = tuple(part.detach().requires_grad_() for part in parts_of(y))
    # In-place operations on a leaf are torch's to refuse; on a copy they are seen like all others.
    copies = tuple(part.clone() for part in starts)
    state = copies[0] if isinstance(y, Tensor) else copies
    since = copies[0].grad_fn._sequence_nr()  # type: ignore[union-attr]
    bound = bind_tensors(f, leaves)
    counted_field.spend()
    dy = check_repeatable(
        f, y, lambda: counted_field.evaluation(bound, now, state), f"gradient='{gradient}'"
    )
    counted_field.first = First(float(now), detached(y), detached(dy))
    reached, counted_field.retain = leaves_of(dy, since)
    known = {id(x) for x in (*leaves, *starts)}
    hidden = [leaf for leaf in reached if id(leaf) not in known]
    if hidden and not isinstance(f, BoundField | torch.nn.Module):
        raise ValueError(
            "expected an nn.Module or a BoundField, or gradient='direct': the gradient to the "
            f"tensors that f captured would be lost (got a {type(f).__name__})"
        )
    return (*named, *hidden)


def bind_tensors(f: AnyField, tensors: Sequence[Tensor]) -> AnyField:
    """Let a field use other tensors in place of those it names; a module keeps its own.

    Args:
        f: The field.
        tensors: Those that it names, then any that it does not, which it keeps.
    """
    return f.bind(tensors[: len(f.captured)]) if isinstance(f, BoundField) else f


def fresh_leaves(f: AnyField, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The same values to differentiate by, cut off from one another.

    Differentiating by the originals counts a gradient twice where one of them was computed from
    another; parameters, and tensors beyond those that a field names, are leaves already.
    """
    if not isinstance(f, BoundField):
        return tuple(tensors)
    named = len(f.captured)
    fresh = (c.detach().requires_grad_(c.requires_grad) for c in tensors[:named])
    return (*fresh, *tensors[named:])


def autocast_state(x: Tensor) -> tuple[str, bool, torch.dtype]:
    """Device type of ``x``, and whether and how precisions are mixed there just now."""
    device = x.device.type
    return device, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
