"""A field and its divergence, which gives the change of density along trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from grandpp.solvers import State
from grandpp.vector_field import BoundField

DIVERGENCES: tuple[str, ...] = ("rademacher", "gaussian", "exact")
"""Distributions of the noise of Hutchinson's estimator, or the exact trace."""


def draw_noise(kind: str, z: Tensor, generator: torch.Generator | None = None) -> Tensor | None:
    """Draw noise of the shape of ``z`` with identity covariance; ``None`` for ``"exact"``.

    It is drawn on the CPU, so that a seed gives the same numbers on every device.

    Raises:
        ValueError: For an unknown kind.
    """
    if kind not in DIVERGENCES:
        raise ValueError(
            f"expected 'divergence' to be one of {', '.join(DIVERGENCES)} (got '{kind}')"
        )
    if kind == "exact":
        return None
    if kind == "gaussian":
        return torch.randn(z.shape, generator=generator, dtype=z.dtype).to(z.device)
    return torch.randint(0, 2, z.shape, generator=generator).to(z).mul_(2).sub_(1)


@dataclass(frozen=True, eq=False)
class DensityField:
    r"""A point and its log-volume as one state (Chen et al. 2018, Grathwohl et al. 2019).

    .. math:: z' = f(t, z), \qquad q' = \operatorname{tr} \partial_z f(t, z)
        \approx \epsilon^\top \partial_z f(t, z)\, \epsilon

    where the noise is drawn once per solve, so that the right-hand side is deterministic.
    z does not depend on q: for the implicit solvers this is a ``QuadratureField``.

    Args:
        f: The field f.
        noise: Noise of the shape of z; ``None`` computes the exact trace, with one product per
            entry of a sample.

    Shape:
        State (z ``[B, ...]``, q ``[B]``).
    """

    f: BoundField[Tensor]
    noise: Tensor | None

    def __call__(self, t: Tensor, y: State) -> State:
        """Evaluate the field and its divergence."""
        z = y[0]
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            z = z if graph and z.requires_grad else z.detach().requires_grad_()
            dz = self.f(t, z)
            dq = (
                _exact(dz, z, graph)
                if self.noise is None
                else _hutchinson(dz, z, self.noise, graph)
            )
        return (dz, dq) if graph else (dz.detach(), dq.detach())

    def without_quadrature(self, t: Tensor, z: Tensor) -> Tensor:
        """Evaluate the field alone."""
        return self.f(t, z)

    @property
    def captured(self) -> tuple[Tensor, ...]:
        """The tensors of the field; gradients do not reach the noise."""
        return self.f.captured

    def bind(self, captured: Sequence[Tensor]) -> DensityField:
        """Swap the captured tensors."""
        return replace(self, f=self.f.bind(captured))


def _hutchinson(dz: Tensor, z: Tensor, noise: Tensor, graph: bool) -> Tensor:
    (product,) = torch.autograd.grad(
        dz, z, noise, create_graph=graph, retain_graph=True, materialize_grads=True
    )
    return (product * noise).flatten(1).sum(1)


def _exact(dz: Tensor, z: Tensor, graph: bool) -> Tensor:
    size = z[0].numel()
    basis = torch.eye(size, dtype=z.dtype, device=z.device).view(size, 1, *z.shape[1:])
    (rows,) = torch.autograd.grad(
        dz, z, basis.expand(size, *z.shape), create_graph=graph, retain_graph=True,
        materialize_grads=True, is_grads_batched=True,
    )  # fmt: skip
    return rows.flatten(2).diagonal(dim1=0, dim2=2).sum(1)
