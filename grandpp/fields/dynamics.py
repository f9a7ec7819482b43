"""Equations of first or higher order built from a field f(t, h).

The state of an equation with several parts (position, momentum, ...) is one tensor
``[parts, *h.shape]``, not a tuple: every solver takes it, those that refuse tuples (``"exact"``,
``"steady"``) included; each part is a contiguous view; and ``state.view(parts * N, F)`` is the
stacked vector on which a linear equation is a block matrix. It costs one copy per evaluation, the
copy that torchdiffeq makes of a tuple.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from grandpp.fields.bound import as_bound, as_solver_field
from grandpp.vector_field import BoundField, Rate


class Dynamics(nn.Module):
    """An equation of motion for any field; this base class is the first-order h' = f(t, h).

    Args:
        channel_dim: Dimension of h that holds the channels; ``1`` fits node features ``[N, F]``,
            vectors ``[B, F]`` and images ``[B, C, H, W]`` alike. (default: ``1``)

    Shape:
        Position h of any shape; state ``[parts, *h.shape]``, or h itself where ``parts`` is 1.
    """

    parts: int = 1
    """Number of tensors of the shape of h in a state."""

    def __init__(self, channel_dim: int = 1) -> None:
        super().__init__()
        self.channel_dim = channel_dim

    def reset_parameters(self) -> None:
        """Initialise the constants of the equation anew; this one has none."""

    def prepare(self, f: Rate) -> Rate:
        """Wrap a field, once per solve.

        Args:
            f: Right-hand side f(t, h): a bound field, an ``nn.Module``, or a function, whose
                captured tensors get gradients from ``gradient="direct"`` alone.

        Returns:
            A bound field on states; a function where ``f`` is one.
        """
        return as_solver_field(BoundDynamics(self, as_bound(f), self.constants()))

    def start(self, h: Tensor, momentum: Tensor | None = None) -> Tensor:
        """Initial state from the position h.

        Raises:
            ValueError: If a momentum is given to a first-order equation.
        """
        if momentum is not None:
            raise ValueError(
                f"expected no initial momentum for the first-order {self.__class__.__name__} "
                f"(got one of shape {list(momentum.shape)})"
            )
        return h

    def position(self, state: Tensor) -> Tensor:
        """The position in a state."""
        return state

    def positions(self, states: Tensor) -> Tensor:
        """The positions ``[S, *h.shape]`` in states saved at S times."""
        return states

    @property
    def batch_dim(self) -> int:
        """Dimension of a state that holds the first dimension of h."""
        return 0 if self.parts == 1 else 1

    def constants(self) -> tuple[Tensor, ...]:
        """The constants of the equation, such as its damping, from the parameters."""
        return ()

    def rate(self, constants: Sequence[Tensor], f: Rate, t: Tensor, state: Tensor) -> Tensor:
        """Derivative of a state, given the constants of the equation."""
        return f(t, state)


@dataclass(frozen=True, eq=False)
class BoundDynamics:
    """An equation of motion with its field, with all tensors named.

    Args:
        kind: The equation of motion.
        f: The field inside.
        constants: Constants of the equation.
    """

    kind: Dynamics
    f: BoundField[Tensor]
    constants: tuple[Tensor, ...]

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the derivative of a state."""
        return self.kind.rate(self.constants, self.f, t, y)

    @property
    def captured(self) -> tuple[Tensor, ...]:
        """The constants, then what the field inside captured."""
        return (*self.constants, *self.f.captured)

    def bind(self, captured: Sequence[Tensor]) -> BoundDynamics:
        """Swap the captured tensors."""
        own = len(self.constants)
        f = self.f.bind(captured[own:])
        return replace(self, f=f, constants=tuple(captured[:own]))


class Augmented(Dynamics):
    r"""ANODE: the first-order equation for features padded with zeros.

    Source: Dupont et al. (2019), as in the HBNODE paper, §5.

    .. math:: h' = f(t, h), \qquad h(t_0) = [x, 0]

    Args:
        extra: Number p of channels to add. (default: ``1``)
        channel_dim: Dimension that they are added to. (default: ``1``)

    Raises:
        ValueError: If ``extra`` is negative.

    Shape:
        x ``[B, C, ...]``; state ``[B, C + p, ...]``, all of it the position.
    """

    def __init__(self, extra: int = 1, channel_dim: int = 1) -> None:
        super().__init__(channel_dim)
        if extra < 0:
            raise ValueError(f"expected 'extra' >= 0 (got {extra})")
        self.extra = extra

    def start(self, h: Tensor, momentum: Tensor | None = None) -> Tensor:
        """Pad x with zeros."""
        h = super().start(h, momentum)
        shape = list(h.shape)
        shape[self.channel_dim] = self.extra
        return torch.cat([h, h.new_zeros(shape)], dim=self.channel_dim)

    def extra_repr(self) -> str:
        """The number of channels added."""
        return f"extra={self.extra}"


@dataclass(frozen=True, eq=False)
class TimeScaled:
    r"""A batch whose elements have different time spans, as one equation on [0, 1].

    Source: thesis (3.89)-(3.91), with :math:`\varphi_i(\tau) = t_0^i + (T^i - t_0^i) \tau`.

    .. math:: g_i'(\tau) = (T^i - t_0^i) \, f(\varphi_i(\tau), g_i(\tau)), \quad g_i(1) = h_i(T^i)

    Use :func:`time_scaled`, which checks.

    Args:
        f: Field on states; its time is a tensor ``[B, 1, ...]`` that broadcasts over h.
        start: Start times ``[B]``; a gradient reaches them.
        duration: T - t_0, ``[B]``; an element with duration zero does not change.
        batch_dim: Dimension of the state that holds the elements.
    """

    f: BoundField[Tensor]
    start: Tensor
    duration: Tensor
    batch_dim: int

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the derivative by tau."""
        shape = [-1] + [1] * (y.dim() - self.batch_dim - 1)
        duration = self.duration.view(shape).to(y.dtype)
        now = self.start.view(shape).to(y.dtype) + duration * t
        return duration * self.f(now, y)

    @property
    def captured(self) -> tuple[Tensor, ...]:
        """Start times and durations, then what the field captured."""
        return (self.start, self.duration, *self.f.captured)

    def bind(self, captured: Sequence[Tensor]) -> TimeScaled:
        """Swap the captured tensors."""
        start, duration, *rest = captured
        return replace(self, f=self.f.bind(rest), start=start, duration=duration)


def time_scaled(f: Rate, start: Tensor, end: Tensor, batch_dim: int = 0) -> Rate:
    """Wrap a field on states in :class:`TimeScaled`; solve the result from 0 to 1.

    Args:
        f: Field on states, for example from :meth:`Dynamics.prepare`.
        start: Start times ``[B]``.
        end: End times ``[B]``, in any order to the start times.
        batch_dim: :attr:`Dynamics.batch_dim`. (default: ``0``, first-order equations)

    Raises:
        ValueError: If the times are not two finite vectors of one length.
    """
    if start.dim() != 1 or start.shape != end.shape:
        raise ValueError(
            "expected start and end times of one shape [B] "
            f"(got {list(start.shape)} and {list(end.shape)})"
        )
    if not bool(torch.isfinite(start).all() and torch.isfinite(end).all()):
        raise ValueError("expected finite start and end times (got NaN or inf)")
    return as_solver_field(TimeScaled(as_bound(f), start, end - start, batch_dim))
