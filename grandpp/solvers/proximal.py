r"""Proximal implicit solvers (thesis chapter 5): each step is a minimisation, or its equation.

With -grad F = f, the proximal backward Euler step

.. math:: h_{k+1} = \arg\min_z \tfrac{1}{2s} |z - h_k|^2 + F(z)

(eq. 5.5) has the stationary point z = h_k + s f(z); Crank-Nicolson (section 5.2.2) and the BDF
methods (section 5.2.3), divided through, have z = b + beta s f(z) with b from earlier states. Only
f is needed, and the equation keeps its meaning where f is no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from grandpp.solvers.base import Solution, State, Status, VectorField, is_finite
from grandpp.solvers.implicit import ImplicitEquation, Packing, StepError, spectral_estimate
from grandpp.solvers.inner import resolve_inner
from grandpp.solvers.iteration import InnerSolver
from grandpp.solvers.recorder import BudgetError, Recorder


@dataclass(frozen=True)
class Scheme:
    """A formula h_{k+1} = sum_j history[j] h_{k-j} + beta s f(h_{k+1}).

    Args:
        order: Nominal order.
        history: Weights of h_k, h_{k-1}, ...
        beta: Weight of s f.
        start: Rows of the diagonally implicit method that makes the first states, whose last row
            is its result and whose row sums are its times.
    """

    order: int
    history: tuple[float, ...]
    beta: float
    start: tuple[tuple[float, ...], ...] = ()


_G2 = 1 - math.sqrt(0.5)
_G3 = 0.43586652150845967
# L-stable, of orders 2 and 3 (Alexander 1977) and 4 (Hairer and Wanner II, table IV.6.5).
_SDIRK2 = ((_G2,), (1 - _G2, _G2))
_SDIRK3 = (
    (_G3,),
    ((1 - _G3) / 2, _G3),
    (-(6 * _G3**2 - 16 * _G3 + 1) / 4, (6 * _G3**2 - 20 * _G3 + 5) / 4, _G3),
)
_SDIRK4 = (
    (1 / 4,),
    (1 / 2, 1 / 4),
    (17 / 50, -1 / 25, 1 / 4),
    (371 / 1360, -137 / 2720, 15 / 544, 1 / 4),
    (25 / 24, -49 / 48, 125 / 16, -85 / 12, 1 / 4),
)

SCHEMES: dict[str, Scheme] = {
    "prox_be": Scheme(1, (1.0,), 1.0),
    # b = h_k + s/2 f(h_k), and f(h_k) is read off the previous equation.
    "prox_cn": Scheme(2, (1.0,), 0.5),
    "prox_bdf2": Scheme(2, (4 / 3, -1 / 3), 2 / 3, _SDIRK2),
    "prox_bdf3": Scheme(3, (18 / 11, -9 / 11, 2 / 11), 6 / 11, _SDIRK3),
    "prox_bdf4": Scheme(4, (48 / 25, -36 / 25, 16 / 25, -3 / 25), 12 / 25, _SDIRK4),
}
PROXIMAL_METHODS: tuple[str, ...] = tuple(SCHEMES)


@dataclass(frozen=True)
class Proximal:
    """A fixed-step proximal method.

    Args:
        method: ``"prox_be"``, ``"prox_cn"``, or ``"prox_bdf2"`` to ``"prox_bdf4"``.
        step_size: Largest step; saved times are met by equal steps, and multi-step methods start
            again where the step changes.
        inner: Name of an inner solver, or an object. One that stagnates (a Jacobian far from
            symmetric) is replaced by ``"newton_krylov"`` for the rest of the solve.
        inner_tol: Tolerance on RMS(residual / (1 + |z|)) of a step's equation, and on its
            gradient; raised to what the precision of the state allows.
        max_inner: Most inner iterations per equation; also bounds the backward solve.
        max_nfe: Evaluation budget of one forward solve.

    Raises:
        ValueError: For an unknown method or inner solver, or a number out of range.

    Note:
        An evaluation and the 10 of the eigenvalue estimate once, then the inner iterations and
        one or two checks per step. Gradients are those of the implicit function theorem: one
        stored evaluation per step, none of the inner iterations.
    """

    method: str = "prox_be"
    step_size: float = 1.0
    inner: str | InnerSolver = "fr"
    inner_tol: float = 1e-6
    max_inner: int = 500
    max_nfe: int = 100_000

    def __post_init__(self) -> None:
        if self.method not in SCHEMES:
            raise ValueError(
                f"expected method to be one of {', '.join(SCHEMES)} (got '{self.method}')"
            )
        resolve_inner(self.inner)
        for name in ("step_size", "inner_tol", "max_inner", "max_nfe"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"expected {name} to be positive and finite (got {value})")

    @property
    def order(self) -> int:
        """Nominal order."""
        return SCHEMES[self.method].order

    def solve(self, f: VectorField, y0: State, ts: Tensor) -> Solution:
        """Carry ``y0`` from ``ts[0]`` through ``ts[1:]``; never raises for numerical failure.

        Args:
            f: Right-hand side.
            y0: Initial state, a tensor of any shape or a tuple of tensors.
            ts: Strictly monotone times, float64 ``[1 + S]``.
        """
        recorder = Recorder(f, self.max_nfe, float(ts[0].detach()))
        packing, inner = Packing.of(y0), resolve_inner(self.inner)
        equation = ImplicitEquation(recorder, packing, inner, self.inner_tol, self.max_inner)
        march = _March(equation, SCHEMES[self.method], self.step_size, self.method == "prox_cn")
        flat = packing.pack(y0)
        status, ys = Status.SUCCESS, flat.detach().new_full((len(ts) - 1, flat.numel()), math.nan)
        try:
            ys = torch.stack(list(march.states(flat, ts)))
            if not is_finite(ys):
                status = Status.NON_FINITE
        except BudgetError:
            status = Status.MAX_NFE
        except StepError as error:
            status = error.status
        saved = packing.unpack(ys)
        return Solution(ts[1:], saved, recorder.stats, status, recorder.t_reached)


@dataclass
class _March:
    """The time loop: earlier states, their spacing, and the steps between saved times."""

    equation: ImplicitEquation
    scheme: Scheme
    step_size: float
    trapezoidal: bool
    history: list[Tensor] = field(default_factory=list)
    spacing: float = 0.0
    slope: Tensor | None = None  # f(h_k), kept for Crank-Nicolson

    def states(self, y: Tensor, ts: Tensor) -> Iterator[Tensor]:
        """Yield the state at each of ``ts[1:]``."""
        self._prepare(y, ts)
        recorder = self.equation.f
        for start, end in pairwise(ts):
            length = float((end - start).detach())
            steps = max(1, math.ceil(abs(length) / self.step_size * (1 - 1e-12)))
            s = (end - start) / steps
            self._expect_spacing(length / steps)
            for i in range(steps):
                y = self._step(start + i * s, s)
                self.history = [y, *self.history[: self.scheme.order]]
                recorder.stats.steps += 1
                recorder.t_reached = float((start + (i + 1) * s).detach())
            yield y

    def _prepare(self, y: Tensor, ts: Tensor) -> None:
        equation = self.equation
        first = equation.rate(ts[0], y)
        # The first evaluation shows whether the field holds tensors that want a gradient.
        equation.differentiable = torch.is_grad_enabled() and (
            first.requires_grad or y.requires_grad or ts.requires_grad
        )
        start, at = ts[0].detach(), y.detach()
        equation.spectral = spectral_estimate(lambda z: equation.rate(start, z), at, first.detach())
        if not math.isfinite(equation.spectral):
            raise StepError(Status.NON_FINITE)
        self.slope = first if self.trapezoidal else None
        self.history = [y]

    def _expect_spacing(self, spacing: float) -> None:
        """Keep one state where earlier ones lie at another distance."""
        if not math.isclose(spacing, self.spacing, rel_tol=1e-9):
            self.history = self.history[:1]
        self.spacing = spacing

    def _step(self, t: Tensor, s: Tensor) -> Tensor:
        scheme, known = self.scheme, len(self.history)
        if known < len(scheme.history):
            return self._starting_step(t, s)
        sigma = scheme.beta * s
        b = torch.zeros_like(self.history[0])
        for weight, state in zip(scheme.history, self.history, strict=False):
            b = b + weight * state
        if self.slope is not None:
            b = b + sigma.to(b.dtype) * self.slope
        z = self.equation.solve(t + s, b, sigma, self._guess())
        if self.slope is not None:
            # The equation itself gives f(z) without an evaluation, smoother than f would.
            self.slope = (z - b) / sigma.to(b.dtype)
        return z

    def _starting_step(self, t: Tensor, s: Tensor) -> Tensor:
        """A step of the diagonally implicit method; its stages are equations of the same form."""
        y, gamma = self.history[0], self.scheme.start[0][0]
        pulls: list[Tensor] = []  # gamma s f of each stage, read off its equation
        z = y
        for row in self.scheme.start:
            b = y
            for a, pull in zip(row, pulls, strict=False):
                b = b + (a / gamma) * pull
            z = self.equation.solve(t + sum(row) * s, b, gamma * s, z.detach())
            pulls.append(z - b)
        return z

    def _guess(self) -> Tensor:
        """Continue the polynomial through the states known, one degree per state."""
        states = [h.detach() for h in self.history]
        n = len(states)
        signs = [(-1) ** j * math.comb(n, j + 1) for j in range(n)]
        guess = torch.zeros_like(states[0])
        for sign, state in zip(signs, states, strict=True):
            guess.add_(state, alpha=sign)
        return guess
