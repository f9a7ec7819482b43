"""The output of an ODE-RNN and its statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from grandpp.solvers import SolveStats, Status


@dataclass(frozen=True)
class ODERNNOutput:
    r"""Predictions of an ODE-RNN for a batch of sequences, final state, costs and status.

    Args:
        outputs: Predictions ``[L, B, output_size]`` of the next observation: row k is the decoded
            state at the time of observation k + 1, right before the jump there. The row of an
            element's last observation is the prediction at the first horizon, or, without a
            horizon, the decoded state right after the last jump. Zero past an element's length.
        reconstruction: Decoded states ``[L, B, output_size]`` right after the jump at every
            observation; a loss compares them with the observations. Zero past an element's length.
        forecast: Decoded states ``[H, B, output_size]`` at the horizons, integrated from the last
            observation without jumps; ``None`` without horizons.
        state: State ``[parts, B, hidden_size]`` (without the first dimension for equations of
            first order) at the last horizon, or after the last jump without horizons.
        solves: Cost of every solve, one per interval; see :attr:`stats`. ``backward()`` adds the
            backward counts.
        status: How the run ended; everything computed after a failure is NaN.
        failed_at: Number of the observation after which a solve failed; ``None`` after a success.

    Shape:
        With ``batch_first``, the first two dimensions of the first three are exchanged.
    """

    outputs: Tensor
    reconstruction: Tensor
    forecast: Tensor | None
    state: Tensor
    solves: tuple[SolveStats, ...]
    status: Status
    failed_at: int | None = None

    @property
    def stats(self) -> SolveStats:
        """Sum of the costs of all solves; backward counts are there after ``backward()``."""
        total = SolveStats()
        for solve in self.solves:
            total.nfe_forward += solve.nfe_forward
            total.nfe_backward += solve.nfe_backward
            total.steps += solve.steps
            total.rejected += solve.rejected
            total.inner_iterations += solve.inner_iterations
            total.max_residual = max(total.max_residual, solve.max_residual)
        return total

    @property
    def successful(self) -> bool:
        """Whether every solve reached its end."""
        return self.status is Status.SUCCESS

    def transposed(self) -> ODERNNOutput:
        """The same output with the batch and time dimensions exchanged."""
        forecast = None if self.forecast is None else self.forecast.transpose(0, 1)
        return replace(
            self,
            outputs=self.outputs.transpose(0, 1),
            reconstruction=self.reconstruction.transpose(0, 1),
            forecast=forecast,
        )
