r"""One implicit equation z = b + s f(t, z): solved without storing, differentiated implicitly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grandpp.solvers.base import Solution, SolveError, State, Status, parts_of
from grandpp.solvers.inner import NewtonKrylov
from grandpp.solvers.iteration import InnerResult, InnerSolver, Residual, difference_step
from grandpp.solvers.krylov import gmres
from grandpp.solvers.recorder import Recorder

_POWER_ITERATIONS = 10
_POWER_MARGIN = 1.1


class StepError(Exception):
    """An implicit step that failed; ``status`` says how."""

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
        flat = [torch.view_as_real(p) if p.is_complex() else p for p in parts_of(y)]
        return flat[0].reshape(-1) if self.single else torch.cat([p.reshape(-1) for p in flat])

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
    wanted. The backward pass solves for u by GMRES with vector-Jacobian products.

    Args:
        f: The counted right-hand side.
        packing: Of its states.
        inner: Inner solver; replaced for good by Newton-Krylov where it stagnates.
        tol: Tolerance on the weighted residual, and relative tolerance on u.
        max_inner: Most iterations of one equation, a replacement's included.
        spectral: Estimate of the largest eigenvalue of the Jacobian of f.
        differentiable: Whether a gradient is wanted.
    """

    f: Recorder
    packing: Packing
    inner: InnerSolver
    tol: float
    max_inner: int
    spectral: float = 0.0
    differentiable: bool = False

    def rate(self, t: Tensor, z: Tensor) -> Tensor:
        """f(t, z) on flat states; evaluated at a time of the state's own precision."""
        return self.packing.pack(self.f(t.to(z.dtype), self.packing.unpack(z)))

    def solve(self, t: Tensor, b: Tensor, s: Tensor, guess: Tensor) -> Tensor:
        """Solve from ``guess``.

        Raises:
            StepError: If the inner solver does not converge or meets NaN.
        """
        size, base = float(s.detach()), b.detach()
        scale = 1 + abs(size) * self.spectral
        # Rounding in s f(z) keeps residuals from falling further.
        tol = max(self.tol, 4 * torch.finfo(b.dtype).eps * scale)
        with torch.no_grad():
            now = t.detach()
            z = self._iterate(lambda z: z - base - size * self.rate(now, z), guess, scale, tol)
        if not self.differentiable:
            return z
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            pull = s.to(z.dtype) * self.rate(t, leaf)
            step = _Adjoint(self, leaf, pull, tol)
            return _ImplicitFunction.apply(b + pull, z, step)

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
    """What the backward pass of one implicit equation needs."""

    equation: ImplicitEquation
    leaf: Tensor
    pull: Tensor
    tol: float

    def __call__(self, grad: Tensor) -> Tensor:
        def product(u: Tensor) -> Tensor:
            (back,) = torch.autograd.grad(
                self.pull, self.leaf, u, retain_graph=True, materialize_grads=True
            )
            return u - back

        equation = self.equation
        u, _, done = gmres(product, grad, self.tol, equation.max_inner)
        if not done:
            recorder = equation.f
            end = torch.tensor([recorder.t_start], dtype=torch.float64)
            failed = Solution(
                end, end, recorder.stats, Status.INNER_NOT_CONVERGED, recorder.t_reached
            )
            raise SolveError(failed, "the implicit gradient of this solve")
        return u


class _ImplicitFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, right: Tensor, z: Tensor, adjoint: _Adjoint) -> Tensor:
        ctx.adjoint = adjoint
        return z.view_as(z)

    @staticmethod
    @torch.autograd.function.once_differentiable
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
