"""Heavy balls on a graph: linear ones as linear systems, and the wave they are in disguise."""

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
    r"""The heavy ball without its friction: :math:`w = e^{\gamma t / 2} h`.

    Source: thesis chapter 6.

    .. math:: w'' = e^{\gamma t / 2} f(t, e^{-\gamma t / 2} w) + \tfrac{\gamma^2}{4} w,
        \qquad w(0) = h(0), \quad w'(0) = m(0) + \tfrac{\gamma}{2} h(0)

    for linear diffusion the wave equation :math:`w'' = \alpha (A - I) w + \gamma^2 w / 4`. A state
    of the solver is (w, w'); :meth:`to_ball` gives (h, m) back. w grows where h stands still, so
    long spans with strong damping overflow; :class:`HeavyBall` does not.

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
    """A heavy ball around linear diffusion: the solvers' :class:`LinearSystem`.

    Args:
        kind: The equation.
        f: Linear diffusion.
        constants: Of the equation.
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
        """C: without A."""
        gamma, *rest = self.constants
        alpha, zero = self.f.alpha, torch.zeros_like(self.f.alpha)
        gamma = gamma.to(alpha)
        if isinstance(self.kind, Wave):
            pull, friction = gamma.square() / 4 - alpha, zero
        else:
            pull, friction = -alpha - (rest[0].to(alpha) if rest else zero), -gamma
        return torch.stack([zero, zero + 1, pull, friction]).view(2, 2)

    @property
    def coupling(self) -> Tensor:
        """K: times A."""
        zero = torch.zeros_like(self.f.alpha)
        return torch.stack([zero, zero, self.f.alpha, zero]).view(2, 2)

    @property
    def sources(self) -> tuple[Tensor | None, ...]:
        """The source pushes the momentum."""
        return (None, self.f.source)


def linearize_momentum(kind: Dynamics, f: LinearDiffusion | NonlinearDiffusion) -> Rate:
    """Wrap diffusion in an equation of motion, as a linear system where it is one."""
    if isinstance(f, LinearDiffusion) and f.product is csr_product and _is_linear(kind, f):
        return LinearOscillation(kind, f, kind.constants())
    return kind.prepare(f)


def _is_linear(kind: Dynamics, f: LinearDiffusion) -> bool:
    if isinstance(kind, GeneralizedHeavyBall):
        return kind.activation == "identity"
    # A constant source pushes a wave with a force that grows.
    return isinstance(kind, HeavyBall) and (f.source is None or not isinstance(kind, Wave))
