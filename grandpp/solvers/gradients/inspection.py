"""Check a right-hand side that the backward pass evaluates again: is it repeatable?

Such a backward pass returns gradients to listed tensors, at values that it computes again. It is
wrong where f depends on a tensor that is not listed, draws random numbers, or changes its own
buffers. One evaluation at the start detects all three.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from grandpp.solvers.base import parts_of
from grandpp.vector_field import AnyField, S, State


def check_repeatable(f: AnyField, y: State, evaluate: Callable[[], S], use: str) -> S:
    """Evaluate a right-hand side once, and refuse it if it would not give the same value again.

    Args:
        f: The right-hand side.
        y: A state, for its device.
        evaluate: Evaluates f.
        use: Which solver or gradient needs f to be repeatable.

    Returns:
        The derivative.

    Raises:
        ValueError: If f drew from the global random generators or changed a buffer of a module.
    """
    modules = modules_in(f)
    buffers = [b for module in modules for b in module.buffers()]
    versions = [0 if b.is_inference() else b._version for b in buffers]
    random = _random_states(y)
    dy = evaluate()
    if not all(map(torch.equal, random, _random_states(y))):
        raise ValueError(
            f"expected a deterministic right-hand side for {use}, which evaluates it again (got "
            "one that draws random numbers, like active dropout): call eval() on it, draw once per "
            "solve, or use gradient='direct'"
        )
    now = [b for module in modules for b in module.buffers()]
    same = len(now) == len(buffers) and all(a is b for a, b in zip(now, buffers, strict=True))
    if not same or versions != [0 if b.is_inference() else b._version for b in now]:
        raise ValueError(
            f"expected a right-hand side without a changing state for {use}, which evaluates it "
            "again (got one that changes a buffer, like batch normalisation in training): call "
            "eval() on it, or use gradient='direct'"
        )
    return dy


def _random_states(y: State) -> list[Tensor]:
    device = parts_of(y)[0].device
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def leaves_of(dy: State, since: int) -> tuple[list[Tensor], bool]:
    """The leaves that a derivative depends on, and whether some only through earlier results.

    Args:
        dy: The derivative.
        since: Sequence number of an autograd node made just before the evaluation.

    Returns:
        The leaves, and whether the graph holds nodes older than the evaluation: their buffers
        must be kept where the evaluation is repeated.
    """
    parts = [p for p in parts_of(dy) if p.requires_grad]
    leaves = {id(p): p for p in parts if p.grad_fn is None}
    stack: list[Any] = [p.grad_fn for p in parts if p.grad_fn is not None]
    seen, old = set(stack), False
    while stack:
        node = stack.pop()
        if hasattr(node, "variable"):
            leaves[id(node.variable)] = node.variable
            continue
        old = old or node._sequence_nr() < since
        new = {n for n, _ in node.next_functions if n is not None} - seen
        seen |= new
        stack.extend(new)
    return list(leaves.values()), old


def modules_in(f: object) -> list[nn.Module]:
    """Modules that a right-hand side is, holds in its attributes, or closes over."""
    found: list[nn.Module] = []
    stack, seen = [f], set[int]()
    while stack:
        held = stack.pop()
        if id(held) not in seen:
            seen.add(id(held))
            found += [held] if isinstance(held, nn.Module) else []
            stack.extend(_inside(held))
    return found


def _inside(held: Any) -> list[Any]:
    if isinstance(held, Tensor | str | int | float):
        return []
    if isinstance(held, dict):
        return list(held.values())
    if isinstance(held, list | tuple):
        return list(held)
    if isinstance(held, nn.Module):
        return [*held.children(), *(v for k, v in vars(held).items() if not k.startswith("_"))]
    if hasattr(type(held), "bind"):
        return list(getattr(held, "__dict__", {}).values())
    if callable(held) and hasattr(held, "__self__"):
        return [held.__self__]
    inside = []
    for cell in getattr(held, "__closure__", None) or ():
        try:
            inside.append(cell.cell_contents)
        except ValueError:  # not yet assigned
            continue
    return inside
