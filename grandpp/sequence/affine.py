r"""The exact flow of an equation of motion that is affine in its state.

If the field is linear, like that of Walker2D (HBNODE paper App. E.5), the equation of motion is

.. math:: y'(t) = M y(t) + c, \qquad
    \begin{pmatrix} y(t + s) \\ 1 \end{pmatrix} =
    \exp\!\left( s \begin{pmatrix} M & c \\ 0 & 0 \end{pmatrix} \right)
    \begin{pmatrix} y(t) \\ 1 \end{pmatrix} ,

one small matrix for every duration s, shared by all elements of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.fields.dynamics import TimeScaled
from grandpp.solvers import Solution, SolveStats, Status
from grandpp.solvers.base import is_finite
from grandpp.vector_field import BoundField

# Up to this many different durations, each gets one matrix that multiplies all elements; with more,
# one matrix exponential is computed per element and interval.
_FEW = 16


class AffineFlow:
    """Solve an affine equation exactly for a batch of states, each over its own time interval.

    Args:
        f: Right-hand side on states, affine in the state and without time.
        state: A batch of states ``[B, n]`` or ``[parts, B, n]``: shape, type and device.
        batch_dim: Dimension that holds the elements.
        durations: All durations that :meth:`__call__` will get, in any shape.

    Raises:
        TypeError: If the right-hand side is not affine or depends on time, which is checked at a
            few states and times.

    Note:
        Cost: one evaluation of the right-hand side on the unit vectors and one to check it; then
        d^3 per duration and d^2 per element and interval, with d values in a state. Exact up to
        rounding; gradients are those of the matrix exponential.
    """

    def __init__(
        self, f: BoundField[Tensor], state: Tensor, batch_dim: int, durations: Tensor
    ) -> None:
        self.shape, self.batch_dim = state.shape, batch_dim
        self.size = state.numel() // state.size(batch_dim)
        self.generator = self._generator(f, state)
        self.known = durations.detach().to(state.dtype).unique()
        self.matrices: Tensor | None = None
        if not durations.requires_grad and len(self.known) <= _FEW:
            self.matrices = self._exponential(self.known)

    def _generator(self, f: BoundField[Tensor], state: Tensor) -> Tensor:
        """Transpose of the matrix in the exponential above: states are rows, on its left."""
        units = torch.eye(self.size + 1, self.size, dtype=state.dtype, device=state.device)
        time = units.new_zeros(self.size + 1, 1)
        slopes = self._flat(f(time, self._deep(units)))
        linear, constant = slopes[:-1] - slopes[-1], slopes[-1:]
        self._check(f, linear.detach(), constant.detach())
        zeros = linear.new_zeros(self.size + 1, 1)
        return torch.cat([torch.cat([linear, constant]), zeros], dim=1)

    @torch.no_grad()
    def _check(self, f: BoundField[Tensor], linear: Tensor, constant: Tensor) -> None:
        """Compare with the right-hand side at small and large states and several times."""
        size = linear.new_tensor([[1.0], [30.0], [1000.0]])
        then = linear.new_tensor([[0.0], [0.37], [2**0.5]])
        trial = torch.linspace(-1, 1, 3 * self.size, dtype=linear.dtype, device=linear.device)
        trial = size * trial.sin().view(3, self.size)
        error = self._flat(f(then, self._deep(trial))) - (trial @ linear + constant)
        scale = size * linear.abs().sum() + constant.abs().sum() + 1
        # NaN and infinity pass this comparison: the solve reports them.
        if bool((error.abs() > 100 * torch.finfo(linear.dtype).eps * scale).any()):
            raise TypeError(
                "expected a field that is linear in the state and does not depend on time "
                "for solver='exact' (got one that does): use another solver, like 'tsit5'"
            )

    def _exponential(self, durations: Tensor) -> Tensor:
        return torch.linalg.matrix_exp(durations.view(-1, 1, 1) * self.generator)

    def _flat(self, states: Tensor) -> Tensor:
        """States as a matrix with one row per element."""
        return states.movedim(self.batch_dim, 0).flatten(1)

    def _deep(self, rows: Tensor) -> Tensor:
        rest = [s for dim, s in enumerate(self.shape) if dim != self.batch_dim]
        return rows.view(-1, *rest).movedim(0, self.batch_dim).contiguous()

    def __call__(self, state: Tensor, duration: Tensor) -> Tensor:
        """Return the states after durations ``[B]``, given in the type of the states."""
        rows = self._flat(state)
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
        if self.matrices is None:
            after = (rows.unsqueeze(1) @ self._exponential(duration)).squeeze(1)
        else:
            which = torch.searchsorted(self.known, duration.detach().contiguous())
            after = (rows @ self.matrices)[which, torch.arange(len(rows), device=rows.device)]
        return self._deep(after[:, :-1])


class ExactIntervals:
    """Solver of an ODE-RNN's intervals for ``solver="exact"``.

    Args:
        f: Right-hand side of the equation.
        state, batch_dim, durations: See :class:`AffineFlow`.

    Raises:
        TypeError: See :class:`AffineFlow`.
    """

    method = "exact"

    def __init__(
        self, f: BoundField[Tensor], state: Tensor, batch_dim: int, durations: Tensor
    ) -> None:
        self.flow = AffineFlow(f, state, batch_dim, durations)
        self.evaluations = 1

    def solve(self, f: TimeScaled, y0: Tensor, ts: Tensor) -> Solution[Tensor]:
        """Solve a batch to the ends of its intervals; ``ts`` is [0, 1].

        The evaluation of the right-hand side is counted in the first interval.
        """
        y = self.flow(y0, f.duration)
        status = Status.SUCCESS if is_finite(y.detach()) else Status.NON_FINITE
        stats = SolveStats(nfe_forward=self.evaluations, steps=1)
        self.evaluations = 0
        return Solution(ts[1:], y.unsqueeze(0), stats, status, 1.0)
