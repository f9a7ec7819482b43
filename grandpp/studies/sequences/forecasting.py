"""Training of an ODE-RNN: its objective and the metrics of an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from grandpp.sequence.ode_rnn import ODERNN
from grandpp.sequence.output import ODERNNOutput
from grandpp.studies.sequences.window_set import Splits, WindowSet

Objective = Literal["forecast", "next"]
"""Objectives: the rows after the window, or the row after every observation."""

REGULARIZATION = 0.1
EVALUATION_BATCH = 1024


class Forecasting:
    r"""Train an ODE-RNN to forecast; a task of :func:`grandpp.training.checkpointed_training.fit`.

    With ``objective="forecast"`` (HBNODE paper §5.3), for C channels and a decoder o,

    .. math::
        \mathrm{MSE}(\hat x(t_{T}), \ldots, \hat x(t_{T+H-1})) + 0.1 \, \big(
        \mathrm{MSE}(\hat x(t_1), \ldots, \hat x(t_T)) + \mathrm{MSE}(o(h(t_0))) \big)

    where the first term is about the rows after the window, the second about the row after every
    observation, and the third about the first observation, decoded from the initial state (left
    out if the model has no ``initial``, so that nothing could learn from it). With
    ``objective="next"`` (§5.4) the second term alone, with weight 1. The losses of an epoch are the
    first term, or that second one: what the tables of the papers report.

    Args:
        model: An ODE-RNN with ``batch_first``; windows must have its floating-point type.
        data: Train, validation and test windows.
        objective: ``"forecast"`` or ``"next"``.
        batch_size: Windows in a batch; the last one of an epoch has the rest. (default: ``64``)
        lr: Learning rate of Adam. (default: ``1e-3``)
        clip: Largest norm of the gradient. (default: ``1.0``)
        seed: Of the batches. (default: ``0``)

    Raises:
        ValueError: For an unknown objective, a batch size below 1, a rate or norm not positive, or
            a model without ``batch_first``.
    """

    def __init__(
        self,
        model: ODERNN,
        data: Splits,
        objective: Objective,
        *,
        batch_size: int = 64,
        lr: float = 1e-3,
        clip: float = 1.0,
        seed: int = 0,
    ) -> None:
        if objective not in ("forecast", "next"):
            raise ValueError(f"expected 'objective' to be forecast or next (got '{objective}')")
        for name, size in {"batch_size": batch_size, "lr": lr, "clip": clip}.items():
            if size <= 0:
                raise ValueError(f"expected '{name}' to be positive (got {size})")
        if not model.batch_first:
            raise ValueError("expected a model with batch_first=True (got False)")
        self.net, self.data, self.objective = model, data, objective
        self.model: nn.Module = model
        self.batch_size, self.clip = batch_size, clip
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def batches(self) -> int:
        """Steps of one epoch."""
        return -(-len(self.data.train) // self.batch_size)

    def train_epoch(self, on_batch: Callable[[], object]) -> dict[str, float]:
        """Take one pass over the training windows.

        Args:
            on_batch: Called after every step.

        Returns:
            ``train_loss``, and ``nfe_forward`` and ``nfe_backward`` of one batch in the mean: the
            evaluations of all its intervals together.

        Raises:
            SolveError: If a solve fails, which is how a training that blows up ends.
        """
        count = len(self.data.train)
        total, forward, backward = 0.0, 0, 0
        order = torch.randperm(count, generator=self.generator)
        for index in order.split(self.batch_size):
            batch = self.data.train[index]
            self.optimizer.zero_grad()
            out = self.net(batch.x, batch.times, horizon=batch.horizon)
            error = self.error(out, batch)
            loss = error + self._regularization(out, batch)
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
            self.optimizer.step()
            total += float(error.detach()) * len(index)
            forward += out.stats.nfe_forward
            backward += out.stats.nfe_backward
            on_batch()
        return {
            "train_loss": total / count,
            "nfe_forward": forward / self.batches,
            "nfe_backward": backward / self.batches,
        }

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Measure on validation and test windows.

        Returns:
            ``validation_loss``, ``test_loss``, and ``nfe_evaluation`` of one batch in the mean;
            these batches have 1024 windows, because their number hardly changes the steps.

        Raises:
            SolveError: If a solve fails.
        """
        row, evaluations = {}, []
        for name in ("validation", "test"):
            windows: WindowSet = getattr(self.data, name)
            total = 0.0
            for begin in range(0, len(windows), EVALUATION_BATCH):
                batch = windows[slice(begin, begin + EVALUATION_BATCH)]
                out = self.net(batch.x, batch.times, horizon=batch.horizon)
                total += float(self.error(out, batch)) * len(batch)
                evaluations.append(out.stats.nfe_forward)
            row[f"{name}_loss"] = total / len(windows)
        return {**row, "nfe_evaluation": sum(evaluations) / len(evaluations)}

    def error(self, out: ODERNNOutput, batch: WindowSet) -> Tensor:
        """Mean squared error of the objective, a scalar.

        Args:
            out: Output of the model for a batch.
            batch: The windows.

        Raises:
            ValueError: If the objective is about forecasts and the output has none.
        """
        if self.objective == "next":
            return (out.outputs - batch.next_rows).square().mean()
        if out.forecast is None:
            raise ValueError("expected forecasts of the model (got none): call it with a horizon")
        return (out.forecast - batch.targets).square().mean()

    def _regularization(self, out: ODERNNOutput, batch: WindowSet) -> Tensor | float:
        if self.objective == "next":
            return 0.0
        penalty = (out.outputs - batch.next_rows).square().mean()
        if self.net.initial is not None:
            start = self.net.initial_state(batch.x.transpose(0, 1))
            decoded = self.net.output(self.net.dynamics.position(start))
            penalty = penalty + (decoded - batch.x[:, 0]).square().mean()
        return REGULARIZATION * penalty
