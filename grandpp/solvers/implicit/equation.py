r"""One implicit equation z = b + s f(t, z): solved without storing, differentiated implicitly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grandpp.linalg.krylov import gmres
from grandpp.linalg.once_differentiable import once_differentiable
from grandpp.solvers.base import Solution, SolveError, SolveStats, Status, parts_of
from grandpp.solvers.gradients.counting import CountedField
from grandpp.solvers.implicit.inner import NewtonKrylov
from grandpp.solvers.implicit.iteration import InnerResult, InnerSolver, Residual, difference_step
from grandpp.solvers.quadrature import QuadratureField
from grandpp.vector_field import State

_POWER_ITERATIONS = 10
_POWER_MARGIN = 1.1


def _flat(part: Tensor) -> Tensor:
    return (torch.view_as_real(part) if part.is_complex() else part).reshape(-1)


class StepError(Exception):
    """An implicit step that failed; ``status`` gives the reason."""

    def __init__(self, status: Status) -> None:
        self.status = status
        super().__init__(status.value)


@dataclass(frozen=True)
class Packing:
    """Turns a state of any shape into one flat tensor and back; complex parts become pairs."""

    parts: tuple[tuple[torch.Size, torch.dtype], ...]
    single: bool

    @classmethod
    def of(cls, y: State) -> Packing:
        """The packing of states like ``y``."""
        return cls(tuple((p.shape, p.dtype) for p in parts_of(y)), isinstance(y, Tensor))

    def pack(self, y: State) -> Tensor:
        """Flatten."""
        flat = [_flat(part) for part in parts_of(y)]
        return flat[0] if self.single else torch.cat(flat)

    @property
    def size(self) -> int:
        """Length of a packed state."""
        return sum(shape.numel() * (2 if kind.is_complex else 1) for shape, kind in self.parts)

    def unpack(self, flat: Tensor) -> State:
        """Undo :meth:`pack` in the last dimension; leading dimensions stay."""
        head, parts, start = flat.shape[:-1], [], 0
        for shape, dtype in self.parts:
            length = shape.numel() * (2 if dtype.is_complex else 1)
            part = flat[..., start : start + length]
            start += length
            if dtype.is_complex:
                part = torch.view_as_complex(part.reshape((*head, *shape, 2)))
            parts.append(part.reshape((*head, *shape)).to(dtype))
        return parts[0] if self.single else tuple(parts)


@dataclass
class ImplicitEquation:
    r"""Solves z = b + s f(t, z) and gives z the gradient of the implicit function theorem.

    .. math:: \bar b = u, \quad (I - s\, \partial_z f)^\top u = \bar z, \qquad
        \bar\theta = s\, (\partial_\theta f)^\top u

    Inner iterations store nothing; one evaluation at the solution is stored where a gradient is
    wanted. The backward pass solves for u by GMRES with vector-Jacobian products. For a
    :class:`QuadratureField` only the first part is solved for, forwards and backwards; the others
    follow by one evaluation, and one product.

    Args:
        f: The counted right-hand side.
        packing: Of its states.
        inner: Inner solver; replaced for good by Newton-Krylov where it stagnates.
        tol: Tolerance on the weighted residual, and relative tolerance on u.
        max_inner: Most iterations of one equation, a replacement's included.
        spectral: Estimate of the largest eigenvalue of the Jacobian of f.
        differentiable: Whether a gradient is wanted.
    """

    f: CountedField
    packing: Packing
    inner: InnerSolver
    tol: float
    max_inner: int
    spectral: float = 0.0
    differentiable: bool = False

    def rate(self, t: Tensor, z: Tensor) -> Tensor:
        """f(t, z) on flat states; evaluated at a time of the state's own precision."""
        return self.packing.pack(self.f(t.to(z.dtype), self.packing.unpack(z)))

    @property
    def coupled(self) -> int:
        """Number of leading entries of a flat state that the derivative depends on."""
        parts = self.packing.parts
        split = isinstance(self.f.f, QuadratureField) and not self.packing.single
        return sum(Packing((part,), True).size for part in (parts[:1] if split else parts))

    def coupled_rate(self, t: Tensor, z: Tensor) -> Tensor:
        """The derivative of the coupled entries by themselves, on flat states."""
        if self.coupled == self.packing.size:
            return self.rate(t, z)
        first = Packing(self.packing.parts[:1], True)
        return first.pack(self.f.coupled(t.to(z.dtype), *parts_of(first.unpack(z))))

    def solve(self, t: Tensor, b: Tensor, s: Tensor, guess: Tensor) -> Tensor:
        """Solve from ``guess``.

        Raises:
            StepError: If the inner solver does not converge or meets NaN.
        """
        n = self.coupled
        size, base = float(s.detach()), b.detach()[:n]
        scale = 1 + abs(size) * self.spectral
        # Rounding in s f(z) keeps residuals from falling further.
        tol = max(self.tol, 4 * torch.finfo(b.dtype).eps * scale)
        with torch.no_grad():
            now = t.detach()
            z = self._iterate(
                lambda z: z - base - size * self.coupled_rate(now, z), guess[:n], scale, tol
            )
            if not self.differentiable:
                return z if n == len(b) else self._follow(now, b, size, z)
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            rates = parts_of(self.f(t.to(z.dtype), self._complete(leaf, b)))
            pulls = [s.to(z.dtype) * flat for flat in map(_flat, rates)]
            split = 1 if n < len(b) else len(pulls)
            pull, added = torch.cat(pulls[:split]), torch.cat([*pulls[split:], z[:0]])
            at = (self.f.t_start, self.f.t_reached)
            step = _Adjoint(leaf, pull, added, tol, self.max_inner, self.f.stats, at)
            end = torch.cat([z, b.detach()[n:] + added.detach()])
            return _ImplicitFunction.apply(b + torch.cat([pull, added]), end, step)

    def _complete(self, z: Tensor, b: Tensor) -> State:
        """The state with the coupled entries ``z``; the derivative ignores the others."""
        return self.packing.unpack(torch.cat([z, b.detach()[len(z) :]]))

    def _follow(self, t: Tensor, b: Tensor, s: float, z: Tensor) -> Tensor:
        """Append the entries that are only integrated to the solution of the coupled ones."""
        rate = self.packing.pack(self.f(t.to(z.dtype), self._complete(z, b)))
        return torch.cat([z, b[len(z) :] + s * rate[len(z) :]])

    def _iterate(self, residual: Residual, z: Tensor, scale: float, tol: float) -> Tensor:
        result = self._attempt(residual, z, scale, tol, self.max_inner)
        left = self.max_inner - result.iterations
        if not result.converged and left > 0 and not isinstance(self.inner, NewtonKrylov):
            self.inner = NewtonKrylov()
            result = self._attempt(residual, result.z, scale, tol, left)
        if not result.converged:
            finite = bool(torch.isfinite(torch.tensor(result.residual_norm)))
            raise StepError(Status.INNER_NOT_CONVERGED if finite else Status.NON_FINITE)
        stats = self.f.stats
        stats.max_residual = max(stats.max_residual, result.residual_norm)
        return result.z

    def _attempt(
        self, residual: Residual, z: Tensor, scale: float, tol: float, most: int
    ) -> InnerResult:
        result = self.inner.solve(residual, z, scale, tol, most)
        self.f.stats.inner_iterations += result.iterations
        return result


@dataclass
class _Adjoint:
    """Data of the backward pass of one implicit equation; no field, which may hold the states.

    Args:
        leaf: The solution that ``pull`` and ``added`` were evaluated at.
        pull: s f of the coupled entries.
        added: s f of the others.
        tol: Relative tolerance of the backward solve.
        max_inner: Its most iterations.
        stats: Counts products.
        times: Start of the solve and the time reached, for messages.
    """

    leaf: Tensor
    pull: Tensor
    added: Tensor
    tol: float
    max_inner: int
    stats: SolveStats
    times: tuple[float, float]

    def __call__(self, grad: Tensor) -> Tensor:
        n = len(self.leaf)
        right, rest = grad[:n], grad[n:]
        if len(rest):
            right = right + self._back(self.added, rest)
            self.stats.nfe_backward += 1
        u, _, done = gmres(lambda u: u - self._back(self.pull, u), right, self.tol, self.max_inner)
        if not done:
            start, reached = self.times
            end = torch.tensor([start], dtype=torch.float64)
            failed = Solution(end, end, self.stats, Status.INNER_NOT_CONVERGED, reached)
            raise SolveError(failed, "the implicit gradient of this solve")
        return torch.cat([u, rest])

    def _back(self, value: Tensor, grad: Tensor) -> Tensor:
        (back,) = torch.autograd.grad(
            value, self.leaf, grad, retain_graph=True, materialize_grads=True
        )
        return back


@once_differentiable
class _ImplicitFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, right: Tensor, z: Tensor, adjoint: _Adjoint) -> Tensor:
        ctx.adjoint = adjoint
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.adjoint(grad), None, None


@torch.no_grad()
def spectral_estimate(rate: Callable[[Tensor], Tensor], z: Tensor, rate_z: Tensor) -> float:
    """Largest eigenvalue of the Jacobian at ``z``, in size, by power iteration on differences.

    Ten evaluations; from a fixed random start, with a margin of 10 % for what they miss.
    """
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(z.numel(), generator=generator, dtype=torch.float64).to(z)
    v = v / v.norm()
    eps, largest = difference_step(z), torch.zeros((), dtype=z.dtype, device=z.device)
    for _ in range(_POWER_ITERATIONS):
        w = (rate(z + eps * v) - rate_z) / eps
        norm = w.norm()
        largest = torch.maximum(largest, norm)
        v = w / norm.clamp_min(torch.finfo(z.dtype).tiny)
    return _POWER_MARGIN * float(largest)
