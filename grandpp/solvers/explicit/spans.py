"""Time spans: division into equal steps, and iteration over them."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from grandpp.solvers.base import map_parts, stack_states
from grandpp.vector_field import S


def equal_steps(ts: Tensor, step_size: float) -> Tensor:
    """Equal steps of at most ``step_size`` between saved times, which need no interpolation."""
    pieces = [ts[:1]]
    for start, end in pairwise(ts):
        length = abs(float((end - start).detach()))
        steps = max(1, math.ceil(length / step_size * (1 - 1e-6)))
        share = torch.arange(1, steps, dtype=ts.dtype, device=ts.device) / steps
        pieces += [start + share * (end - start), end.reshape(1)]
    return torch.cat(pieces)


def span_by_span(solve: Callable[[S, Tensor], S], y0: S, ts: Tensor) -> S:
    """States at all times from a function that solves one span, ``(y, [start, end]) -> states``."""
    states = [y0]
    for span in pairwise(ts):
        states.append(map_parts(lambda y: y[-1], solve(states[-1], torch.stack(span))))
    return stack_states(states)


def is_beyond(t: Tensor | None, ts: Tensor) -> bool:
    """Whether a time lies beyond the last one, by more than rounding."""
    if t is None:
        return False
    ahead = (t.to(ts) - ts[-1]) * (ts[-1] - ts[0]).sign()
    return bool(ahead > 1e-6 * (ts[-1] - ts[0]).abs())
