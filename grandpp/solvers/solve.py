"""Validate arguments, run one solver, return a Solution."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grandpp.linalg import Reductions, eager, reductions_of
from grandpp.solvers.auto import Auto
from grandpp.solvers.base import (
    Solution,
    SolveError,
    SolveStats,
    Status,
    is_finite,
    like_state,
    map_parts,
    parts_of,
)
from grandpp.solvers.checks import check_state
from grandpp.solvers.explicit.torchdiffeq import ONE_STEP_METHODS, TorchDiffEq
from grandpp.solvers.explicit.tsit5 import Tsit5
from grandpp.solvers.linear.exponential import Exact, LinearField
from grandpp.solvers.linear.steady import Steady
from grandpp.solvers.registry import Solver, resolve_solver
from grandpp.vector_field import S, VectorField


@eager
def solve(
    f: VectorField[S],
    y0: S,
    t_span: tuple[float | Tensor, float | Tensor],
    *,
    solver: str | Solver = "dopri5",
    save_at: Sequence[float] | Tensor | None = None,
    throw: bool = True,
    **options: Any,
) -> Solution[S]:
    r"""Solve the initial value problem y' = f(t, y), y(t_0) = y_0.

    Args:
        f: Right-hand side; a :class:`~grandpp.vector_field.BoundField` or an ``nn.Module`` where
            adjoint or checkpoint gradients have to reach the tensors it captured.
        y0: Initial state, a tensor of any shape or a tuple of tensors.
        t_span: (t_0, t_1); t_1 < t_0 solves backwards in time, t_1 = infinity needs
            ``solver="steady"`` or ``"auto"``.
        solver: A name or a solver object. (default: ``"dopri5"``)
        save_at: Times to save, in the direction of travel and inside the span.
            (default: ``None``, only t_1)
        throw: Raise :class:`SolveError` on failure instead of returning its status.
            (default: ``True``)
        **options: See :func:`~grandpp.solvers.resolve_solver`.

    Returns:
        Solution with ``ys`` of shape ``[S, *state]``.

    Raises:
        TypeError: If the state is no tensor or tuple of tensors, f returns another kind, or a time
            is no real number.
        ValueError: For a state that is not in float32, float64 or complex, for non-finite times or
            initial states, for times out of order, if f does not return a derivative of the
            state's shape, type and device or works in place on its arguments, or if its state is
            spread over processes and the solver takes none of these.
        SolveError: If the solve fails and ``throw`` is set.

    Example:
        >>> solution = solve(lambda t, y: -y, torch.ones(1), (0.0, 1.0), solver="tsit5", rtol=1e-6)
        >>> round(float(solution.y), 4), solution.status.name
        (0.3679, 'SUCCESS')
    """
    method = resolve_solver(solver, **options)
    check_state(y0)
    for t in t_span:
        if not isinstance(t, Real | Tensor) or (isinstance(t, Tensor) and t.is_complex()):
            raise TypeError(
                f"expected a time span of two numbers or scalar tensors (got a {type(t).__name__})"
            )
    if isinstance(method, Auto) and _number(t_span[1]) == math.inf:
        method = Steady()
    reductions = reductions_of(f)
    if not reductions.is_local:
        _check_reduces(method, f)
    times = _steady_times if isinstance(method, Steady) else _times
    ts = times(t_span, save_at).to(parts_of(y0)[0].device)
    if not reductions.all(is_finite(y0)):
        raise ValueError("expected a finite initial state (got NaN or inf)")
    start, rest = ts[:1], ts[1:]
    # The state saved at t_0 is the initial state itself (solvers want strictly monotone times),
    # and so is a state without entries at any time.
    empty = all(p.numel() == 0 for p in parts_of(y0))
    at_start = len(rest) if empty else int((rest == start).sum())
    if at_start < len(rest):
        solution = method.solve(f, y0, torch.cat([start, rest[at_start:]]))
    else:
        end = float(rest[-1].detach())
        solution = Solution(rest, _stack(y0, 0), SolveStats(), Status.SUCCESS, end)
    if at_start:
        ys = _prepend(y0, solution.ys, at_start)
        solution = Solution(rest, ys, solution.stats, solution.status, solution.t_reached)
    if not reductions.is_local:
        solution = _agreed(solution, reductions)
    if throw and not solution.successful:
        raise SolveError(solution, method.method)
    return solution


def _check_reduces(method: Solver, f: object) -> None:
    """Refuse a solver that decides by the part of a state that is in this process."""
    takes = isinstance(method, Exact | Tsit5)
    if isinstance(method, TorchDiffEq):
        takes = method.method in ONE_STEP_METHODS and method.gradient != "adjoint"
    if not (takes or (isinstance(method, Auto) and isinstance(f, LinearField))):
        gradient = getattr(method, "gradient", None)
        raise ValueError(
            "expected a solver for sharded graphs: 'exact' or 'auto' in linear mode, 'tsit5', or "
            f"{', '.join(ONE_STEP_METHODS)} with gradient='direct' or 'checkpoint' "
            f"(got '{method.method}'{f' with gradient={gradient!r}' if gradient else ''})"
        )


def _agreed(solution: Solution[S], reductions: Reductions) -> Solution[S]:
    """The solution with the status that is the same in all processes: a failure, if one failed."""
    statuses = list(Status)
    mine = torch.tensor(statuses.index(solution.status), device=parts_of(solution.ys)[0].device)
    status = statuses[int(reductions.max(mine))]
    if status is solution.status:
        return solution
    start = float(solution.ts[0].detach()) if solution.successful else solution.t_reached
    return Solution(solution.ts, solution.ys, solution.stats, status, start)


def _number(t: float | Tensor) -> float:
    return float(t.detach()) if isinstance(t, Tensor) else float(t)


def _steady_times(
    t_span: tuple[float | Tensor, float | Tensor], save_at: Sequence[float] | Tensor | None
) -> Tensor:
    if _number(t_span[1]) != math.inf or save_at is not None:
        raise ValueError(
            f"expected the end time infinity and no save_at for solver='steady' "
            f"(got {float(t_span[1])}, {save_at})"
        )
    return torch.tensor([float(t_span[0]), math.inf], dtype=torch.float64)


def _check_save_at(save_at: Sequence[float] | Tensor) -> None:
    if isinstance(save_at, Tensor):
        kind = f"a tensor in {save_at.dtype}" if save_at.is_complex() else None
    else:
        many = isinstance(save_at, Iterable) and not isinstance(save_at, str | bytes)
        values: Any = save_at if many else [save_at]
        wrong = [v for v in values if not isinstance(v, Real | Tensor | np.ndarray)]
        kind = None if not wrong else f"a {type(wrong[0]).__name__}"
    if kind is not None:
        raise TypeError(f"expected save_at to be a tensor or a sequence of numbers (got {kind})")


def _times(
    t_span: tuple[float | Tensor, float | Tensor], save_at: Sequence[float] | Tensor | None
) -> Tensor:
    t0, t1 = (torch.as_tensor(t, dtype=torch.float64) for t in t_span)
    first, last = float(t0.detach()), float(t1.detach())
    if not (math.isfinite(first) and math.isfinite(last)):
        raise ValueError(f"expected a finite time span (got {first}, {last})")
    if save_at is None:
        return torch.stack([t0, t1])
    _check_save_at(save_at)
    times = torch.as_tensor(save_at, dtype=torch.float64).reshape(-1)
    direction = 1.0 if last >= first else -1.0
    signed = direction * torch.cat([t0.reshape(1), times, t1.reshape(1)]).detach()
    inside = bool((signed[1:-1] >= signed[0]).all() and (signed[1:-1] <= signed[-1]).all())
    if len(times) == 0 or not inside or bool((signed[2:-1] <= signed[1:-2]).any()):
        raise ValueError(
            f"expected save_at to run strictly from {first} to {last} (got {times.tolist()})"
        )
    return torch.cat([t0.reshape(1), times])


def _stack(y: S, times: int) -> S:
    return map_parts(lambda part: part.unsqueeze(0).expand(times, *part.shape), y)


def _prepend(y0: S, ys: S, times: int) -> S:
    pairs = zip(parts_of(_stack(y0, times)), parts_of(ys), strict=True)
    return like_state(y0, [torch.cat(pair) for pair in pairs])
