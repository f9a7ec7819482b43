"""An ODE-RNN written the ordinary way: torchdiffeq's dopri5 on one interval after the other.

It borrows the networks of an :class:`grandpp.sequence.ODERNN`, so that both train the same
parameters, and nothing else: the equation of motion, the change of time intervals and the loop are
written out here, as in a paper's code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchdiffeq import odeint, odeint_adjoint

from grandpp.fields import GeneralizedHeavyBall, HeavyBall, SecondOrder
from grandpp.sequence import ODERNN


class Motion(nn.Module):
    """The right-hand side on one interval, scaled by the duration of every element."""

    def __init__(self, model: ODERNN) -> None:
        super().__init__()
        self.dynamics, self.field = model.dynamics, model.field
        self.duration = torch.ones(())
        self.forward_nfe = self.backward_nfe = 0
        self.backward_runs = False

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
        """Evaluate and count; through the solver, products are what the backward pass costs."""
        out = self.duration * self._derivative(t, state)
        if self.backward_runs:
            self.backward_nfe += 1
            return out
        self.forward_nfe += 1
        if out.requires_grad:
            out.register_hook(self._one_more_product)
        return out

    def _one_more_product(self, gradient: Tensor) -> None:
        self.backward_nfe += 1


class Loop(nn.Module):
    """The recurrent loop.

    Args:
        model: Whose networks to use.
        tolerance: rtol and atol of dopri5.
        adjoint: Gradients by the adjoint method, as in the papers, or through the solver.
    """

    def __init__(self, model: ODERNN, tolerance: float, adjoint: bool) -> None:
        super().__init__()
        self.model, self.tolerance, self.adjoint = model, tolerance, adjoint
        self.motion = Motion(model)

    def _evolve(self, state: Tensor, duration: Tensor) -> Tensor:
        self.motion.duration = duration.to(state.dtype).unsqueeze(-1)
        integrate = odeint_adjoint if self.adjoint else odeint
        unit = torch.tensor([0.0, 1.0], dtype=state.dtype)
        states = integrate(self.motion, state, unit, rtol=self.tolerance, atol=self.tolerance)
        return states[-1]

    def _read(self, state: Tensor) -> Tensor:
        return self.model.output(state if self.model.dynamics.parts == 1 else state[0])

    def forward(self, x: Tensor, times: Tensor, horizon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predictions for the next observation, reconstructions and forecasts.

        Args:
            x: ``[L, B, input_size]``.
            times: ``[L, B]``.
            horizon: ``[H, B]``.
        """
        state = self.model.initial_state(x)
        outputs, reconstruction, forecast = [], [], []
        for k in range(len(x)):
            state = self.model.jump(x[k], state)
            reconstruction.append(self._read(state))
            following = times[k + 1] if k + 1 < len(x) else horizon[0]
            state = self._evolve(state, following - times[k])
            outputs.append(self._read(state))
        forecast.append(outputs[-1])
        for k in range(1, len(horizon)):
            state = self._evolve(state, horizon[k] - horizon[k - 1])
            forecast.append(self._read(state))
        return torch.stack(outputs), torch.stack(reconstruction), torch.stack(forecast)
