"""The flow of the Adam optimiser around any field."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grandpp.fields.fixed import register_fixed
from grandpp.fields.momentum import OMEGA, WithMomentum
from grandpp.linalg.arguments import check_number
from grandpp.vector_field import Rate

POSITIVE: dict[str, Callable[[Tensor], Tensor]] = {
    "clamp": lambda v: v.clamp_min(0.0),
    "softplus": F.softplus,
}
"""Functions that keep the second moment non-negative under the root."""


class Adam(WithMomentum):
    r"""AdamNODE: the flow of Adam, whose velocity is a ratio of first and second moment.

    Source: AdamNODE paper (7). Its printed adjoint (10) lacks factors; gradients are by autograd.

    .. math::
        h' = \frac{-m}{\sqrt{v + \epsilon}}, \qquad m' = (1 - \alpha)(-f(t, h) - m), \qquad
        v' = (1 - \beta)(f(t, h)^2 - v)

    Solutions have v >= 0, but stages of a solver may not: ``positive`` is applied to v.

    Args:
        alpha: Fixed memory of the first moment, in (0, 1).
            (default: ``None``, learned from 1 - sigmoid(-3) = 0.953, as in the authors' code)
        beta: Likewise of the second moment. (default: ``None``, learned)
        epsilon: Added under the root. (default: ``1e-8``)
        positive: ``"clamp"`` is the printed equation, whose right-hand side has a slope of
            1 / epsilon at v = 0; ``"softplus"``, of the authors' code, replaces v under the root by
            the smooth log(1 + exp(v)), which can be trained. (default: ``"softplus"``)
        channel_dim: See :class:`Dynamics`. (default: ``1``)

    Raises:
        ValueError: For an unknown choice or a number out of range.

    Shape:
        h of any shape; f keeps it; state ``[3, *h.shape]``: position, first and second moment. The
        second moment starts at the square of the first, which is 0 unless it is given.
    """

    parts = 3

    def __init__(
        self,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        epsilon: float = 1e-8,
        positive: str = "softplus",
        channel_dim: int = 1,
    ) -> None:
        super().__init__(channel_dim)
        if positive not in POSITIVE:
            raise ValueError(
                f"expected 'positive' to be one of {', '.join(POSITIVE)} (got '{positive}')"
            )
        check_number("'epsilon'", epsilon)
        if not epsilon > 0:
            raise ValueError(f"expected 'epsilon' to be positive (got {epsilon})")
        self.epsilon, self.positive = epsilon, positive
        for name, value in (("alpha", alpha), ("beta", beta)):
            self.register_parameter(f"{name}_logit", None)
            if value is not None:
                check_number(f"'{name}'", value)
            if value is None:
                self.register_parameter(f"{name}_logit", nn.Parameter(torch.empty(())))
            elif 0 < value < 1:
                register_fixed(self, f"fixed_{name}", value)
            else:
                raise ValueError(f"expected '{name}' between 0 and 1 (got {value})")
        # Not that of a subclass, whose parameters do not exist yet.
        Adam.reset_parameters(self)

    def reset_parameters(self) -> None:
        """Set the logits of learned memories to 3."""
        for name in ("alpha_logit", "beta_logit"):
            logit: Tensor | None = getattr(self, name)
            if logit is not None:
                nn.init.constant_(logit, -OMEGA)

    def _stack(self, h: Tensor, momentum: Tensor) -> Tensor:
        return torch.stack([h, momentum, momentum.square()])

    def _memory(self, name: str) -> Tensor:
        logit: Tensor | None = getattr(self, f"{name}_logit")
        return getattr(self, f"fixed_{name}") if logit is None else logit.sigmoid()

    def constants(self) -> tuple[Tensor, ...]:
        """alpha and beta."""
        return (self._memory("alpha"), self._memory("beta"))

    def rate(self, constants: Sequence[Tensor], f: Rate, t: Tensor, state: Tensor) -> Tensor:
        """Derivative of a state."""
        h, m, v = state.unbind(0)
        alpha, beta = constants
        force = f(t, h)
        velocity = -m / (POSITIVE[self.positive](v) + self.epsilon).sqrt()
        drift = (1 - alpha) * (-force - m)
        return torch.stack([velocity, drift, (1 - beta) * (force.square() - v)])

    def extra_repr(self) -> str:
        """The memories, epsilon and ``positive``."""
        alpha, beta = (float(c.detach()) for c in self.constants())
        return f"alpha={alpha:g}, beta={beta:g}, epsilon={self.epsilon:g}, positive={self.positive}"
