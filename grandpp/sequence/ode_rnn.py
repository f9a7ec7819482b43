"""ODE-RNN: an ordinary differential equation between observations and a recurrent cell at them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from grandpp.fields.bound import as_bound
from grandpp.fields.dynamics import Dynamics
from grandpp.fields.entry import solver_entry
from grandpp.layers.neural_ode import make_dynamics
from grandpp.sequence.adjoints import AdjointNorms
from grandpp.sequence.cells import LinearCell, check_missing, default_field, first_state
from grandpp.sequence.observations import Observations, observations_of
from grandpp.sequence.output import ODERNNOutput
from grandpp.sequence.rollout import Rollout
from grandpp.solvers import SolveError, Solver, resolve_solver


class ODERNN(nn.Module):
    r"""ODE-RNN: an equation of motion between observations and a recurrent jump at each of them.

    Source: Rubanova et al. (2019), thesis (2.39)-(2.40); HBNODE paper §5.3-5.4 for equations of
    second order; thesis (3.89)-(3.91) for the time intervals.

    .. math::
        h'(t) = f(t, h(t)) \quad (t_k < t < t_{k+1}), \qquad
        h^+(t_k) = \mathrm{cell}(x_k, h^-(t_k))

    Elements of a batch may have different time stamps: every interval is solved on [0, 1], with
    the right-hand side scaled by the element's duration.

    Args:
        kind: One of :data:`grandpp.layers.KINDS`, or a :class:`grandpp.fields.Dynamics`
            with other options.
        input_size: Number of values of an observation.
        hidden_size: Channels n of the position, including those that ANODE adds.
        output_size: Number of values of a prediction.
        batch_first: Whether batch comes before time in inputs and outputs. (default: ``False``)
        field: Right-hand side f(t, h) from n channels to n, from 2n to n for SONODE.
            (default: ``None``, a perceptron with two hidden layers: 3n and 4n channels for
            equations of first order, 2n and n for SONODE, n and n for the others)
        cell: Jump from x ``[B, input_size]`` and h ``[B, d n]`` to ``[B, d n]``, with d = 1 for
            equations of first order and 2 for the others (position and momentum; the second
            moment of AdamNODE does not jump), for example an ``nn.GRUCell``.
            (default: ``None``, :class:`LinearCell`)
        initial: Network from all observations ``[L, B, input_size]``, zero at padding, to the
            state before the first jump: ``[B, n]``; ``[B, 2 n]`` with a momentum; for ANODE
            fewer values, which are padded with zeros. (default: ``None``, zero)
        missing: What replaces unknown components of an observation: ``"zero"``, or
            ``"prediction"``, the decoded state before the jump, which needs
            ``output_size`` = ``input_size``. (default: ``"zero"``)
        solver: Name or solver object. ``"tsit5"`` starts every interval with the last step size
            of the previous one; ``"exact"``, for fields that are linear in the state, is faster.
            (default: ``"tsit5"``)
        rtol: Relative tolerance. (default: ``None``, the solver's own)
        atol: Absolute tolerance. (default: ``None``, the solver's own)
        gradient: ``"direct"``, ``"adjoint"`` or ``"checkpoint"``.
            (default: ``None``, the solver's own)
        step_size: Step of fixed-step methods, as a fraction of an interval.
            (default: ``None``, the solver's own)
        max_nfe: Evaluation budget of one interval. (default: ``None``, the solver's own)

    Raises:
        ValueError: For an unknown choice or a number out of range.
        TypeError: For an option that the solver does not take.

    Shape:
        x ``[L, B, input_size]``, times ``[L, B]`` or ``[L]``, lengths ``[B]``, horizon ``[H, B]``
        or ``[H]``, mask ``[L, B, input_size]``; the output is an :class:`ODERNNOutput`. With
        ``batch_first``: ``[B, L, ...]`` and ``[B, H]``.

    Note:
        Cost: one solve per interval over the elements that have not ended. They share its steps, so
        that the results of a batch and of its elements alone agree up to the tolerance.

    Example:
        >>> model = ODERNN("hbnode", input_size=2, hidden_size=8, output_size=1, batch_first=True)
        >>> times = torch.rand(4, 10).cumsum(1)  # every sequence at its own times
        >>> model(torch.randn(4, 10, 2), times).outputs.shape
        torch.Size([4, 10, 1])
    """

    def __init__(
        self,
        kind: str | Dynamics,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        batch_first: bool = False,
        field: nn.Module | None = None,
        cell: nn.Module | None = None,
        initial: nn.Module | None = None,
        missing: str = "zero",
        solver: str | Solver = "tsit5",
        rtol: float | None = None,
        atol: float | None = None,
        gradient: str | None = None,
        step_size: float | None = None,
        max_nfe: int | None = None,
    ) -> None:
        super().__init__()
        sizes = (input_size, hidden_size, output_size)
        if min(sizes) < 1:
            raise ValueError(f"expected positive sizes (got {sizes})")
        check_missing(missing, input_size, output_size)
        self.input_size, self.hidden_size, self.output_size = sizes
        self.batch_first, self.missing = batch_first, missing
        extra = {"extra": max(hidden_size - input_size, 0)} if kind == "anode" else {}
        self.dynamics = make_dynamics(kind, **extra) if isinstance(kind, str) else kind
        self.field = default_field(self.dynamics, hidden_size) if field is None else field
        self.cell = LinearCell(input_size, hidden_size, self.jumping) if cell is None else cell
        self.initial = initial
        self.output = nn.Linear(hidden_size, output_size)
        given: dict[str, Any] = {"rtol": rtol, "atol": atol, "gradient": gradient}
        given |= {"step_size": step_size, "max_nfe": max_nfe}
        options = {name: value for name, value in given.items() if value is not None}
        self.solver: Solver = resolve_solver(solver, **options)
        self._recorder: AdjointNorms | None = None

    @property
    def jumping(self) -> int:
        """Number d of parts of a state that jump."""
        return min(self.dynamics.parts, 2)

    def forward(
        self,
        x: Tensor,
        times: Tensor,
        lengths: Tensor | None = None,
        horizon: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> ODERNNOutput:
        """Predict the next observation of every observation, and the values at the horizons.

        Args:
            x: Observations ``[L, B, input_size]``.
            times: Their time stamps ``[L, B]``, strictly increasing, or ``[L]`` for all elements.
            lengths: Number of observations of every element, int64 ``[B]``; padding after it may
                hold anything. (default: ``None``, L for each)
            horizon: Times ``[H, B]`` or ``[H]`` to forecast, strictly increasing and not before
                the element's last observation. (default: ``None``)
            mask: Which components of x are known, bool ``[L, B, input_size]``; the others may hold
                anything. A state jumps only where some are. (default: ``None``, all)

        Raises:
            ValueError: For a wrong shape, a value that is not finite, or times out of order.
            TypeError: If the solver is ``"exact"`` and the equation is not linear.
            SolveError: If a solve fails; the message names the observation after which.
        """
        return self.solve(x, times, lengths, horizon, mask)

    @solver_entry
    def solve(
        self,
        x: Tensor,
        times: Tensor,
        lengths: Tensor | None = None,
        horizon: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        throw: bool = True,
    ) -> ODERNNOutput:
        """Like :meth:`forward`; with ``throw=False`` return a failed run with its status.

        Raises:
            ValueError: As :meth:`forward`.
            SolveError: If a solve fails and ``throw`` is set.
        """
        own = next(self.parameters(), x).dtype
        if x.dtype != own:
            raise ValueError(f"expected observations of the model's type {own} (got {x.dtype})")
        first, size = self.batch_first, self.input_size
        seen = observations_of(x, times, lengths, horizon, mask, size, first)
        steps = x.size(1 if first else 0)
        rollout = self._rollout(seen, steps)
        if throw and rollout.failure is not None:
            where = f"{self.solver.method} after observation {rollout.observation}"
            raise SolveError(rollout.failure, where)
        return rollout.output(self.output, steps, first)

    @contextmanager
    def adjoint_norms(self) -> Iterator[AdjointNorms]:
        """Record norms of the loss gradient to the states at observations (HBNODE paper Fig. 4).

        Use::

            with model.adjoint_norms() as adjoints:
                out = model(x, times)
            loss(out).backward()
            adjoints.norms  # [L, B]

        Yields:
            Norms of dL/d(h, m) right after the jump, of the last run inside the block.
        """
        self._recorder = AdjointNorms(self.batch_first)
        try:
            yield self._recorder
        finally:
            self._recorder = None

    def initial_state(self, x: Tensor) -> Tensor:
        """The state before the first jump.

        Args:
            x: Observations ``[L, B, input_size]``, zero at padding.

        Raises:
            ValueError: If ``initial`` returns a number of values that does not fit the state.
        """
        n, parts = self.hidden_size, self.dynamics.parts
        if self.initial is None:
            shape = (x.size(1), n) if parts == 1 else (parts, x.size(1), n)
            return x.new_zeros(shape)
        return first_state(self.dynamics, self.initial(x), n)

    def jump(self, x: Tensor, state: Tensor) -> Tensor:
        """The state after an observation x ``[B, input_size]``."""
        if self.dynamics.parts == 1:
            out: Tensor = self.cell(x, state)
            return out
        moved, batch = self.jumping, x.size(0)
        flat = state[:moved].transpose(0, 1).reshape(batch, -1)
        new = self.cell(x, flat).view(batch, moved, -1).transpose(0, 1)
        return new if len(state) == moved else torch.cat([new, state[moved:]])

    def _rollout(self, seen: Observations, steps: int) -> Rollout:
        state = self.initial_state(seen.x)
        f = as_bound(self.dynamics.prepare(self.field))
        rollout = Rollout(self.dynamics, f, self.solver, seen, state)
        for k in range(len(seen.x)):
            guess = None
            if seen.observed is not None and self.missing == "prediction":
                guess = self.output(self.dynamics.position(state))
            state = seen.select_observed(k, self.jump(seen.filled(k, guess), state), state)
            if self._recorder is not None:
                self._recorder.record(state, self.dynamics.batch_dim, seen, k, steps)
            state = rollout.advance(k, state)
            if rollout.failure is not None:
                break
        return rollout

    def extra_repr(self) -> str:
        """Sizes and solver."""
        return (
            f"{self.input_size}, {self.hidden_size}, {self.output_size}, "
            f"batch_first={self.batch_first}, solver={self.solver}"
        )
