"""A field with its divergence, for the change of density along trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from grandpp.solvers import State
from grandpp.vector_field import Bound

DIVERGENCES: tuple[str, ...] = ("rademacher", "gaussian", "exact")
"""Noise of Hutchinson's estimator, or the trace itself."""


def draw_noise(kind: str, z: Tensor, generator: torch.Generator | None = None) -> Tensor | None:
    """Noise of the shape of ``z`` with identity covariance; ``None`` for ``"exact"``.

    Drawn on the CPU, so that a seed means the same on every device.

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
    r"""Points and the logarithm of the volume they carry (Chen et al. 2018, Grathwohl et al. 2019).

    .. math:: z' = f(t, z), \qquad q' = \operatorname{tr} \partial_z f(t, z)
        \approx \epsilon^\top \partial_z f(t, z)\, \epsilon

    with one draw of the noise for a whole solve, which keeps the right-hand side deterministic.
    q has no influence on z: it is a ``QuadratureField`` for the implicit solvers.

    Args:
        f: The field f.
        noise: Of the shape of z; ``None`` sums over all basis vectors, one product each.

    Shape:
        State (z ``[B, ...]``, q ``[B]``).
    """

    f: Bound
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
        """What the field captured; noise is no parameter."""
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
