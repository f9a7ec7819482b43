"""Second-order equations around any field: heavy ball, generalised heavy ball, SONODE, Adam."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grandpp.fields.dynamics import Dynamics
from grandpp.fields.fixed import register_fixed
from grandpp.linalg.arguments import check_number
from grandpp.vector_field import Rate


def _hardtanh(m: Tensor) -> Tensor:
    return F.hardtanh(m, -5.0, 5.0)


def _identity(m: Tensor) -> Tensor:
    return m


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "hardtanh": _hardtanh,
    "identity": _identity,
}
"""Velocity as a function of momentum in :class:`GeneralizedHeavyBall`; hardtanh is the papers'."""

OMEGA = -3.0
"""Initial value of every logit in the papers: sigmoid(-3) = 0.047."""


class WithMomentum(Dynamics):
    """Base class of equations with a momentum: states ``[parts, *h.shape]``, position first.

    Args:
        channel_dim: See :class:`Dynamics`. (default: ``1``)
    """

    parts = 2

    def start(self, h: Tensor, momentum: Tensor | None = None) -> Tensor:
        """Initial state.

        Args:
            h: Position.
            momentum: Of the same shape. (default: ``None``, zero)

        Raises:
            ValueError: If the shapes differ.
        """
        if momentum is None:
            momentum = torch.zeros_like(h)
        if momentum.shape != h.shape:
            raise ValueError(
                f"expected an initial momentum of the shape of h, {list(h.shape)} "
                f"(got {list(momentum.shape)})"
            )
        return self._stack(h, momentum)

    def _stack(self, h: Tensor, momentum: Tensor) -> Tensor:
        return torch.stack([h, momentum])

    def position(self, state: Tensor) -> Tensor:
        """The position in a state."""
        return state[0]

    def positions(self, states: Tensor) -> Tensor:
        """The positions ``[S, *h.shape]`` in states saved at S times."""
        return states[:, 0]


class SecondOrder(WithMomentum):
    r"""SONODE: the field maps position and velocity to the acceleration.

    Source: Norcliffe et al. (2020), HBNODE paper (45).

    .. math:: h' = v, \qquad v' = f(t, [h, v])

    Args:
        channel_dim: Dimension along which h and v are concatenated for f. (default: ``1``)

    Shape:
        h ``[B, C, ...]``; f maps ``[B, 2C, ...]`` to ``[B, C, ...]``; state ``[2, B, C, ...]``.
    """

    def rate(self, constants: Sequence[Tensor], f: Rate, t: Tensor, state: Tensor) -> Tensor:
        """Derivative of a state."""
        h, v = state.unbind(0)
        return torch.stack([v, f(t, torch.cat([h, v], dim=self.channel_dim))])


class HeavyBall(WithMomentum):
    r"""HBNODE: the heavy ball, a second-order equation with damping and the field as force.

    Source: HBNODE paper (9), (10).

    .. math:: h' = m, \qquad m' = -\gamma m + f(t, h), \qquad \gamma = \epsilon \sigma(\omega)

    Args:
        gamma: Fixed damping >= 0; 0 conserves the energy where f is a gradient.
            (default: ``None``, learned from omega = -3)
        max_gamma: Upper bound epsilon of the learned damping. (default: ``1.0``)
        channel_dim: See :class:`Dynamics`. (default: ``1``)

    Raises:
        ValueError: If ``gamma`` is negative or ``max_gamma`` not positive.

    Shape:
        h of any shape; f keeps it; state ``[2, *h.shape]``.
    """

    def __init__(
        self, *, gamma: float | None = None, max_gamma: float = 1.0, channel_dim: int = 1
    ) -> None:
        super().__init__(channel_dim)
        if gamma is not None:
            check_number("'gamma'", gamma)
        check_number("'max_gamma'", max_gamma)
        if gamma is not None and not 0 <= gamma < math.inf:
            raise ValueError(f"expected 'gamma' to be finite and not negative (got {gamma})")
        if not 0 < max_gamma < math.inf:
            raise ValueError(f"expected 'max_gamma' to be positive and finite (got {max_gamma})")
        self.max_gamma = max_gamma
        self.register_parameter("omega", None)
        if gamma is None:
            self.omega = nn.Parameter(torch.empty(()))
        else:
            register_fixed(self, "fixed_gamma", gamma)
        HeavyBall.reset_parameters(self)  # not the subclass's: its parameters do not exist yet

    def reset_parameters(self) -> None:
        """Set the logit of a learned damping to -3."""
        if self.omega is not None:
            nn.init.constant_(self.omega, OMEGA)

    @property
    def gamma(self) -> Tensor:
        """The damping, a scalar."""
        if self.omega is not None:
            return self.max_gamma * self.omega.sigmoid()
        return self.fixed_gamma

    def constants(self) -> tuple[Tensor, ...]:
        """The damping."""
        return (self.gamma,)

    def rate(self, constants: Sequence[Tensor], f: Rate, t: Tensor, state: Tensor) -> Tensor:
        """Derivative of a state."""
        h, m = state.unbind(0)
        return torch.stack([m, f(t, h) - constants[0] * m])

    def extra_repr(self) -> str:
        """The damping, and whether it is learned."""
        known = f"gamma={float(self.gamma.detach()):g}"
        return known if self.omega is None else f"{known} (learned), max_gamma={self.max_gamma:g}"


class GeneralizedHeavyBall(HeavyBall):
    r"""GHBNODE: the generalised heavy ball, with bounded velocity and a spring.

    Source: HBNODE paper (15).

    .. math:: h' = s(m), \qquad m' = -\gamma m + f(t, h) - \xi h, \qquad \xi = \log(1 + e^\chi)

    Args:
        activation: s, one of :data:`ACTIVATIONS` or a function; the papers use ``"tanh"``, and
            ``"hardtanh"`` between -5 and 5 on Silverbox. A function has no parameters.
            (default: ``"tanh"``)
        gamma: As in :class:`HeavyBall`. (default: ``None``, learned)
        xi: Fixed spring constant >= 0. (default: ``None``, learned)
        chi: Initial value of chi of a learned spring. (default: ``0.0``, xi = ln 2; with -3 it is
            initially as weak as the damping, which suits long time spans)
        max_gamma: As in :class:`HeavyBall`. (default: ``1.0``)
        channel_dim: See :class:`Dynamics`. (default: ``1``)

    Raises:
        ValueError: For an unknown activation or a number out of range.

    Shape:
        As :class:`HeavyBall`.
    """

    def __init__(
        self,
        *,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        gamma: float | None = None,
        xi: float | None = None,
        chi: float = 0.0,
        max_gamma: float = 1.0,
        channel_dim: int = 1,
    ) -> None:
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            raise ValueError(
                f"expected 'activation' to be one of {', '.join(ACTIVATIONS)} (got '{activation}')"
            )
        if isinstance(activation, nn.Module) and any(True for _ in activation.parameters()):
            raise ValueError(
                "expected an 'activation' without parameters, which would get no gradient "
                f"(got {activation})"
            )
        if xi is not None:
            check_number("'xi'", xi)
        check_number("'chi'", chi)
        if xi is not None and not 0 <= xi < math.inf:
            raise ValueError(f"expected 'xi' to be finite and not negative (got {xi})")
        if not math.isfinite(chi):
            raise ValueError(f"expected a finite 'chi' (got {chi})")
        super().__init__(gamma=gamma, max_gamma=max_gamma, channel_dim=channel_dim)
        self.activation, self.first_chi = activation, chi
        self.speed = ACTIVATIONS[activation] if isinstance(activation, str) else activation
        self.register_parameter("chi", None)
        if xi is None:
            self.chi = nn.Parameter(torch.empty(()))
        else:
            register_fixed(self, "fixed_xi", xi)
        # Not that of a subclass, whose parameters do not exist yet.
        GeneralizedHeavyBall.reset_parameters(self)

    def reset_parameters(self) -> None:
        """Set the logit of a learned damping to -3, and chi to its initial value."""
        super().reset_parameters()
        if self.chi is not None:
            nn.init.constant_(self.chi, self.first_chi)

    @property
    def xi(self) -> Tensor:
        """The spring constant, a scalar."""
        return self.fixed_xi if self.chi is None else F.softplus(self.chi)

    def constants(self) -> tuple[Tensor, ...]:
        """The damping and the spring constant."""
        return (self.gamma, self.xi)

    def rate(self, constants: Sequence[Tensor], f: Rate, t: Tensor, state: Tensor) -> Tensor:
        """Derivative of a state."""
        h, m = state.unbind(0)
        gamma, xi = constants
        return torch.stack([self.speed(m), f(t, h) - gamma * m - xi * h])

    def extra_repr(self) -> str:
        """The activation and the constants."""
        learned = "" if self.chi is None else " (learned)"
        spring = f"xi={float(self.xi.detach()):g}{learned}"
        return f"activation={self.activation}, {super().extra_repr()}, {spring}"
