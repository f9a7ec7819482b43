"""Diffusion of the symmetrically normalised adjacency with restart: the continuous GNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from grandpp.fields.base import LinearDiffusion
from grandpp.linalg import CSR


@dataclass(frozen=True, eq=False)
class DampedDiffusion:
    r"""Linear diffusion with decay, as a ``LinearSystem`` of one part.

    .. math:: y' = a (P - I) y - b\, y + s, \qquad P = D^{-1} W

    States are ``[1, N, F]``.

    Args:
        f: The walk P with rate a and source s.
        decay: b >= 0, scalar.
    """

    f: LinearDiffusion
    decay: Tensor

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the derivative ``[1, N, F]``."""
        return self.f(t, y[0]).unsqueeze(0) - self.decay * y

    @property
    def csr(self) -> CSR:
        """Pattern of P."""
        return self.f.csr

    @property
    def weight(self) -> Tensor:
        """Values of P."""
        return self.f.weight

    @property
    def reversible(self) -> bool:
        """Whether P is similar to a symmetric matrix."""
        return self.f.reversible

    @property
    def constant(self) -> Tensor:
        """-(a + b), ``[1, 1]``."""
        return -(self.f.alpha + self.decay).view(1, 1)

    @property
    def coupling(self) -> Tensor:
        """The rate a, ``[1, 1]``."""
        return self.f.alpha.view(1, 1)

    @property
    def sources(self) -> tuple[Tensor | None]:
        """s."""
        return (self.f.source,)

    @property
    def captured(self) -> tuple[Tensor, ...]:
        """The decay, then what diffusion captured."""
        return (self.decay, *self.f.captured)

    def bind(self, captured: Sequence[Tensor]) -> DampedDiffusion:
        """Swap the captured tensors."""
        return replace(self, decay=captured[0], f=self.f.bind(captured[1:]))


def with_restart(f: LinearDiffusion, alpha: float, source: Tensor) -> DampedDiffusion:
    r"""Bind :math:`y' = (\tfrac\alpha2 (I + P) - I) y + s` to the walk P of a bound field.

    Args:
        f: The walk with rate 1 and without a source.
        alpha: In [0, 1].
        source: s ``[N, F]``.
    """
    rate = torch.full_like(f.alpha, alpha / 2)
    walk = replace(f, alpha=rate, generator=rate * f.generator, source=source)
    return DampedDiffusion(walk, torch.full_like(rate, 1 - alpha))
