"""Heavy-ball equations on a graph as linear systems, and as a wave equation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from grandpp.fields.base import LinearDiffusion, NonlinearDiffusion, csr_product
from grandpp.fields.dynamics import BoundDynamics, Dynamics
from grandpp.fields.momentum import GeneralizedHeavyBall, HeavyBall
from grandpp.linalg import CSR
from grandpp.vector_field import Rate


class Wave(HeavyBall):
    r"""The heavy ball in the variable :math:`w = e^{\gamma t / 2} h`, which has no damping term.

    Source: thesis chapter 6.

    .. math:: w'' = e^{\gamma t / 2} f(t, e^{-\gamma t / 2} w) + \tfrac{\gamma^2}{4} w,
        \qquad w(0) = h(0), \quad w'(0) = m(0) + \tfrac{\gamma}{2} h(0)

    for linear diffusion the wave equation :math:`w'' = \alpha (A - I) w + \gamma^2 w / 4`. A state
    of the solver is (w, w'); :meth:`to_ball` turns it into (h, m). w grows exponentially where h is
    constant, so that long time spans with strong damping overflow; use :class:`HeavyBall` for them.

    Args:
        gamma, max_gamma, channel_dim: As in :class:`HeavyBall`.
    """

    def start(self, h: Tensor, momentum: Tensor | None = None) -> Tensor:
        """Initial (w, w') from a position and a momentum."""
        h, m = super().start(h, momentum).unbind(0)
        return torch.stack([h, m + self.gamma.to(h.dtype) / 2 * h])

    def rate(self, constants: Sequence[Tensor], f: Rate, t: Tensor, state: Tensor) -> Tensor:
        """Derivative of (w, w')."""
        w, p = state.unbind(0)
        half = constants[0] / 2
        growth = (half * t).exp()
        return torch.stack([p, growth * f(t, w / growth) + half.square() * w])

    def to_ball(self, states: Tensor, ts: Tensor) -> Tensor:
        """Turn saved states (w, w') ``[S, 2, ...]`` at times ``[S]`` into (h, m)."""
        half = self.gamma.to(states.dtype) / 2
        decay = (-half * ts.to(states)).exp().view(-1, *[1] * (states.dim() - 2))
        w, p = states.unbind(1)
        return torch.stack([decay * w, decay * (p - half * w)], dim=1)


@dataclass(frozen=True, eq=False)
class LinearOscillation(BoundDynamics):
    """A heavy ball with linear diffusion as force, as a :class:`LinearSystem` of the solvers.

    Args:
        kind: The equation of motion.
        f: Linear diffusion.
        constants: Constants of the equation.
    """

    f: LinearDiffusion

    @property
    def csr(self) -> CSR:
        """Pattern of A."""
        return self.f.csr

    @property
    def weight(self) -> Tensor:
        """Values of A."""
        return self.f.weight

    @property
    def reversible(self) -> bool:
        """Whether A is similar to a symmetric matrix."""
        return self.f.reversible

    @property
    def constant(self) -> Tensor:
        """The matrix C, of the terms without A."""
        gamma, *rest = self.constants
        alpha, zero = self.f.alpha, torch.zeros_like(self.f.alpha)
        gamma = gamma.to(alpha)
        if isinstance(self.kind, Wave):
            stiffness, damping = gamma.square() / 4 - alpha, zero
        else:
            stiffness, damping = -alpha - (rest[0].to(alpha) if rest else zero), -gamma
        return torch.stack([zero, zero + 1, stiffness, damping]).view(2, 2)

    @property
    def coupling(self) -> Tensor:
        """The matrix K, of the terms with A."""
        zero = torch.zeros_like(self.f.alpha)
        return torch.stack([zero, zero, self.f.alpha, zero]).view(2, 2)

    @property
    def sources(self) -> tuple[Tensor | None, ...]:
        """The source, which acts on the momentum."""
        return (None, self.f.source)


def linearize_momentum(kind: Dynamics, f: LinearDiffusion | NonlinearDiffusion) -> Rate:
    """Wrap diffusion in an equation of motion; linear equations become linear systems."""
    if isinstance(f, LinearDiffusion) and f.product is csr_product and _is_linear(kind, f):
        return LinearOscillation(kind, f, kind.constants())
    return kind.prepare(f)


def _is_linear(kind: Dynamics, f: LinearDiffusion) -> bool:
    if isinstance(kind, GeneralizedHeavyBall):
        return kind.activation == "identity"
    # A constant source of the ball is a growing one of the wave: not a constant linear system.
    return isinstance(kind, HeavyBall) and (f.source is None or not isinstance(kind, Wave))
