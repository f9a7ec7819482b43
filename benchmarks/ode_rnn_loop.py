"""An ODE-RNN written the ordinary way: torchdiffeq's dopri5 on one interval after the other.

It borrows the networks of an :class:`grandpp.sequence.ODERNN`, so that both train the same
parameters, and nothing else: the equation of motion, the change of time intervals and the loop are
written out here, as in a paper's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchdiffeq import odeint, odeint_adjoint

from grandpp.fields import GeneralizedHeavyBall, HeavyBall, SecondOrder
from grandpp.sequence import ODERNN


@dataclass
class Count:
    """Evaluations of one batch, as :class:`grandpp.solvers.SolveStats` names them.

    Args:
        nfe_forward: Evaluations forward.
        nfe_backward: Backward: evaluations, or through the solver products with the Jacobian.
        backward_runs: Whether the forward pass is over.
    """

    nfe_forward: int = 0
    nfe_backward: int = 0
    backward_runs: bool = False


class Motion(nn.Module):
    """The right-hand side on one interval, scaled by the duration of every element.

    Every interval has one of its own: its adjoint is solved after all others have begun.
    """

    def __init__(self, model: ODERNN, duration: Tensor, count: Count) -> None:
        super().__init__()
        self.dynamics, self.field = model.dynamics, model.field
        self.duration, self.count = duration, count

    def _derivative(self, t: Tensor, state: Tensor) -> Tensor:
        kind = self.dynamics
        if kind.parts == 1:
            return self.field(t, state)
        h, m = state[0], state[1]
        if isinstance(kind, SecondOrder):
            return torch.stack([m, self.field(t, torch.cat([h, m], dim=1))])
        if isinstance(kind, GeneralizedHeavyBall):
            force = self.field(t, h) - kind.gamma * m - kind.xi * h
            return torch.stack([torch.tanh(m), force])
        if isinstance(kind, HeavyBall):
            return torch.stack([m, self.field(t, h) - kind.gamma * m])
        raise ValueError(f"expected a kind that the plain loop knows (got {kind})")

    def forward(self, t: Tensor, state: Tensor) -> Tensor:
        """Evaluate and count."""
        out = self.duration * self._derivative(t, state)
        if self.count.backward_runs:
            self.count.nfe_backward += 1
            return out
        self.count.nfe_forward += 1
        if out.requires_grad:
            out.register_hook(self._one_more_product)
        return out

    def _one_more_product(self, gradient: Tensor) -> None:
        self.count.nfe_backward += 1


class LoopOutput(NamedTuple):
    """What ``Forecasting`` in ``studies.sequences`` asks of a model's output, batch first."""

    outputs: Tensor
    reconstruction: Tensor
    forecast: Tensor
    stats: Count
    """Counts on until the backward pass is over."""


class Loop(nn.Module):
    """The recurrent loop; it trains wherever the model does.

    Args:
        model: Whose networks to use.
        tolerance: rtol and atol of dopri5.
        adjoint: Gradients by the adjoint method, as in the papers, or through the solver.
    """

    batch_first = True

    def __init__(self, model: ODERNN, tolerance: float, adjoint: bool) -> None:
        super().__init__()
        self.model, self.tolerance, self.adjoint = model, tolerance, adjoint
        # The parts that the loss asks for.
        self.initial, self.dynamics, self.output = model.initial, model.dynamics, model.output

    def initial_state(self, x: Tensor) -> Tensor:
        """As the model's."""
        return self.model.initial_state(x)

    def _evolve(self, count: Count, state: Tensor, duration: Tensor) -> Tensor:
        motion = Motion(self.model, duration.to(state.dtype).unsqueeze(-1), count)
        integrate = odeint_adjoint if self.adjoint else odeint
        unit = torch.tensor([0.0, 1.0], dtype=state.dtype)
        states = integrate(motion, state, unit, rtol=self.tolerance, atol=self.tolerance)
        return states[-1]

    def _read(self, state: Tensor) -> Tensor:
        return self.output(state if self.dynamics.parts == 1 else state[0])

    def forward(self, x: Tensor, times: Tensor, horizon: Tensor) -> LoopOutput:
        """Predictions for the next observation, reconstructions and forecasts.

        Args:
            x: ``[B, L, input_size]``.
            times: ``[B, L]``.
            horizon: ``[B, H]``.
        """
        x, times, horizon = x.transpose(0, 1), times.T, horizon.T
        count = Count()
        state = self.initial_state(x)
        outputs, reconstruction, forecast = [], [], []
        for k in range(len(x)):
            state = self.model.jump(x[k], state)
            reconstruction.append(self._read(state))
            following = times[k + 1] if k + 1 < len(x) else horizon[0]
            state = self._evolve(count, state, following - times[k])
            outputs.append(self._read(state))
        forecast.append(outputs[-1])
        for k in range(1, len(horizon)):
            state = self._evolve(count, state, horizon[k] - horizon[k - 1])
            forecast.append(self._read(state))
        count.backward_runs = True
        rows = (torch.stack(part, dim=1) for part in (outputs, reconstruction, forecast))
        return LoopOutput(*rows, count)
