"""The output of an ODE-RNN and its statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from grandpp.solvers import SolveStats, Status


@dataclass(frozen=True)
class ODERNNOutput:
    r"""Everything that an ODE-RNN says about a batch of sequences.

    Args:
        outputs: Predictions ``[L, B, output_size]`` made at every observation for the next time
            stamp: the state after the jump at observation k, carried to the time of observation
            k + 1, decoded just before the jump there. In the row of an element's last observation
            the next time stamp is the first horizon; without a horizon there is none, and the row
            is the decoded state where it is. Zero past an element's length.
        reconstruction: Decoded states ``[L, B, output_size]`` right after the jump at every
            observation, to compare with the observation itself. Zero past an element's length.
        forecast: Decoded states ``[H, B, output_size]`` at the horizons, carried on from the last
            observation without jumps; ``None`` without horizons.
        state: State ``[parts, B, hidden_size]`` (without the first dimension for equations of
            first order) at the last horizon, or after the last jump without horizons.
        solves: Cost of every solve, one per interval; see :attr:`stats`. Backward counts fill in
            while ``backward()`` runs.
        status: How the run ended; after a failure, everything from there on is NaN.
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
        """Cost of all solves together, as of now: read it after ``backward()`` for both ways."""
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

    def exchanged(self) -> ODERNNOutput:
        """The same with batch and time exchanged."""
        forecast = None if self.forecast is None else self.forecast.transpose(0, 1)
        return replace(
            self,
            outputs=self.outputs.transpose(0, 1),
            reconstruction=self.reconstruction.transpose(0, 1),
            forecast=forecast,
        )
