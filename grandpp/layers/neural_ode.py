"""Neural ODEs of first and second order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from grandpp.fields.adam import Adam
from grandpp.fields.dynamics import Augmented, Dynamics, time_scaled
from grandpp.fields.entry import solver_entry
from grandpp.fields.finite import describe_parameters
from grandpp.fields.momentum import GeneralizedHeavyBall, HeavyBall, SecondOrder
from grandpp.layers.base import describe_time
from grandpp.solvers import Solution, SolveError, Solver, Status, resolve_solver, solve

KINDS: dict[str, Callable[..., Dynamics]] = {
    "node": Dynamics,
    "anode": Augmented,
    "sonode": SecondOrder,
    "hbnode": HeavyBall,
    "ghbnode": GeneralizedHeavyBall,
    "adamnode": Adam,
}
"""Equations of motion by the names of the papers."""


def make_dynamics(kind: str, **options: Any) -> Dynamics:
    """Build an equation of motion by its name.

    Args:
        kind: One of :data:`KINDS`.
        **options: Arguments of its class, for example ``gamma=0.0`` for ``"hbnode"``.

    Raises:
        ValueError: For an unknown name.
        TypeError: For an option that the equation does not take.
    """
    if kind not in KINDS:
        raise ValueError(f"expected 'kind' to be one of {', '.join(KINDS)} (got '{kind}')")
    return KINDS[kind](**options)


class NeuralODE(nn.Module):
    r"""Solve h' = f(t, h), or an equation of higher order around f, from 0 to ``time``.

    Source: Chen et al. (2018); the HBNODE and AdamNODE papers for the equations.

    Args:
        field: Right-hand side f(t, h), for example :class:`grandpp.fields.MLPField`; it maps 2n
            channels to n for ``"sonode"``.
        kind: One of :data:`KINDS`, or a :class:`grandpp.fields.Dynamics` with other options.
            (default: ``"node"``)
        initial: Network from the features x, with c channels, to 2n - c channels: the first n - c
            are appended to x and give the position, the last n are the momentum.
            (default: ``None``: x is the position, and the momentum is zero)
        time: Length of the time span. (default: ``1.0``)
        solver: Name or solver object. (default: ``"dopri5"``)
        rtol: Relative tolerance. (default: ``None``, the solver's own)
        atol: Absolute tolerance. (default: ``None``, the solver's own)
        step_size: Step of fixed-step methods. (default: ``None``, the solver's own)
        max_nfe: Evaluation budget of one solve. (default: ``None``, the solver's own)
        gradient: ``"direct"``, ``"adjoint"`` or ``"checkpoint"``.
            (default: ``None``, the solver's own)

    Raises:
        ValueError: For an unknown choice or a number out of range.
        TypeError: For an option that the solver does not take.

    Shape:
        x ``[B, c, ...]``; output ``[B, n, ...]``.

    Note:
        Under autocast the solve runs in the dtype of the parameters and returns it;
        :class:`grandpp.fields.LowPrecision` evaluates only the field in bfloat16. In half precision
        the solve computes in float32 and returns the dtype of x.

    Example:
        >>> from grandpp.fields import MLPField
        >>> ode = NeuralODE(MLPField(2, (8,)), kind="hbnode", gradient="adjoint")
        >>> ode(torch.randn(5, 2)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        field: nn.Module,
        kind: str | Dynamics = "node",
        *,
        initial: nn.Module | None = None,
        time: float = 1.0,
        solver: str | Solver = "dopri5",
        rtol: float | None = None,
        atol: float | None = None,
        step_size: float | None = None,
        max_nfe: int | None = None,
        gradient: str | None = None,
    ) -> None:
        super().__init__()
        self.dynamics = kind if isinstance(kind, Dynamics) else make_dynamics(kind)
        if initial is not None and self.dynamics.parts == 1:
            raise ValueError(
                "expected 'initial' for an equation of second order alone "
                f"(got one for {self.dynamics.__class__.__name__})"
            )
        self.field, self.initial, self.time = field, initial, time
        given: dict[str, Any] = {
            "rtol": rtol,
            "atol": atol,
            "step_size": step_size,
            "max_nfe": max_nfe,
            "gradient": gradient,
        }
        self.solver: Solver = resolve_solver(
            solver, **{k: v for k, v in given.items() if v is not None}
        )

    def initial_state(self, x: Tensor, momentum: Tensor | None = None) -> Tensor:
        """The state at time 0.

        Args:
            x: Features.
            momentum: Replaces the momentum that ``initial`` computes. (default: ``None``)
        """
        if self.initial is not None and momentum is None:
            dim = self.dynamics.channel_dim
            x, momentum = torch.cat([x, self.initial(x)], dim=dim).chunk(2, dim=dim)
        return self.dynamics.start(x, momentum)

    @solver_entry
    def solve(
        self,
        x: Tensor,
        momentum: Tensor | None = None,
        *,
        spans: tuple[Tensor, Tensor] | None = None,
        save_at: Sequence[float] | Tensor | None = None,
        throw: bool = True,
    ) -> Solution[Tensor]:
        """Return the whole solution: states, cost and status.

        Args:
            x: Features ``[B, c, ...]``.
            momentum: Initial momentum. (default: ``None``)
            spans: Start and end times ``[B]`` of each element, instead of 0 and ``time``; the times
                of the solution are then fractions of each time span (thesis (3.89)-(3.91)).
                (default: ``None``)
            save_at: Times to save. (default: ``None``, the end)
            throw: Raise on failure. (default: ``True``)

        Returns:
            Solution with states ``[S, parts, B, n, ...]``, without the dimension of parts for
            equations of first order.

        Raises:
            SolveError: If the solve fails and ``throw`` is set; the message names parameters that
                are NaN or infinite.
        """
        f = self.dynamics.prepare(self.field)
        end = self.time
        if spans is not None:
            f, end = time_scaled(f, *spans, self.dynamics.batch_dim), 1.0
        y0 = self.initial_state(x, momentum)
        try:
            return solve(f, y0, (0.0, end), solver=self.solver, save_at=save_at, throw=throw)
        except SolveError as error:
            cause = None
            if error.solution.status is Status.NON_FINITE:
                cause = describe_parameters(self)
            if cause is None:
                raise
            raise SolveError(error.solution, error.method, cause) from None

    def forward(self, x: Tensor, momentum: Tensor | None = None) -> Tensor:
        """The position at the end of the time span."""
        return self.dynamics.position(self.solve(x, momentum).y)

    def extra_repr(self) -> str:
        """Time span and solver."""
        return f"{describe_time(self.time)}, solver={self.solver}"
