r"""Exponential integrators for nonlinear diffusion, whose operator changes slowly along a solution.

A quasilinear field :math:`y' = \alpha (A(y) - I) y + s` is linear once A is frozen, and frozen
fields are solved exactly (:mod:`grandpp.solvers.linear.exponential`). With
:math:`\Phi_c(A)\, y` the solution after the time c h of the frozen field, a step of length h takes

.. math::
    Y_1 = y, \quad Y_2 = \Phi_{1/2}(A_1)\, y, \quad Y_3 = \Phi_{1/2}(A_2)\, y, \qquad A_i = A(Y_i)

and is the exponential midpoint rule (order 2, explicit Magnus method of Casas and Iserles 2006)

.. math:: y_{n+1} = \Phi_{1/2}(A_2)\, Y_3 = \Phi_1(A_2)\, y

or, where that is not accurate enough, the commutator-free method of order 4 (Celledoni, Marthinsen
and Owren 2003), :math:`Y_4 = \Phi_{1/2}(2 A_3 - A_1)\, Y_2` and

.. math:: y_{n+1} = \Phi_{1/2}\Big(\frac{-A_1 + 2 A_2 + 2 A_3 + 3 A_4}{6}\Big)\,
    \Phi_{1/2}\Big(\frac{3 A_1 + 2 A_2 + 2 A_3 - A_4}{6}\Big)\, y.

The errors are estimated to first order in the difference of two operators B and C, which moves a
state y of a step of length c h by about :math:`c h \alpha (B - C) y`: for order 2, C is the
operator of the step and B those of the two factors above; for order 4, B and C are :math:`A_4` and
the operator at the end of the step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from grandpp.linalg import CSR, multiply
from grandpp.linalg.series import Series
from grandpp.solvers.base import Solution, SolveStats, Status, check_positive, is_finite
from grandpp.solvers.explicit.stages import ErrorNorm
from grandpp.solvers.implicit.equation import StepError
from grandpp.solvers.linear.exponential import apply_series, is_stochastic
from grandpp.vector_field import AnyField, State, VectorField

# alpha h of the first step at most: longer spans show first whether the operator is so steady.
_FIRST_RATE = 32.0
# Cost of an operator with its gradient, in products with theirs.
_OPERATOR = 2
_SAFETY = 0.9
# Steps are so long that an error may exceed the estimate; measured with random attention.
_DOUBT = 1.5
# The error of order 4 is taken to be no smaller than that of order 2 over this: on long steps both
# results of the higher orders may be wrong alike.
_LADDER = 25.0
_CUT = 0.7  # the share of the tolerance that a step after a rejected one aims at
# Where the operator changes so much within half a step, in units of the tolerance and of the
# state, neither order will do, and the rest of the attempt is spared.
_HOPELESS = 45.0
_HOPELESS_CHANGE = 4.5e-3
_HOPEFUL = 0.7
_GROWTH = 5.0
_SHRINK = 0.2
_RESCUE = 0.1  # after a step that met NaN or infinity
_HARD = 10.0  # a change from which on order 2 has never been enough
_EASY = 0.5  # where the error of order 2 is foreseen to be smaller, it is tried first
_STRETCH = 1.05  # so much more than was proposed rarely fails, and spares a sliver of a step
# Operators change less and less along most solutions: while none such has failed, a step that may
# reach the end is tried where it is up to so many times as long as was proposed.
_HOPE = 2.5
# The error of the next step is taken to fall like that of the last one, but not by more.
_FALL = 4.0
_OVERLONG = 1.3  # and given up early where its error is foreseen to be larger than this
# Of the relative tolerance, left to each exponential of a result: a bound that is rarely reached.
_SERIES_SHARE = 0.2
# A state that serves an operator alone may be so much less accurate, and no less than this.
_STAGE_SHARE = 50.0
_STAGE_TOLERANCE = 0.03


@runtime_checkable
class QuasilinearField(VectorField, Protocol):
    """A field y' = alpha (A(y) - I) y + s with row-stochastic A(y)."""

    @property
    def csr(self) -> CSR:
        """Pattern of A, ``[N, N]``."""
        ...

    @property
    def alpha(self) -> Tensor:
        """Rate, a non-negative scalar."""
        ...

    @property
    def source(self) -> Tensor | None:
        """Constant source s ``[N, F]``."""
        ...

    def operator(self, y: Tensor) -> Tensor:
        """Values of A(y) in the order of ``csr``, ``[nnz]``."""
        ...


@dataclass(frozen=True)
class CommutatorFree:
    """Exponential integrator of order 2 and 4 for nonlinear diffusion, with error control.

    Takes steps of order 2 (Casas and Iserles 2006) and the same step by order 4 (Celledoni,
    Marthinsen and Owren 2003) where order 2 misses the tolerance. Stability does not limit the
    steps: they are as long as the change of the operator along the solution allows, often the
    whole span. Constants are kept exactly.

    Args:
        rtol: Relative tolerance.
        atol: Absolute tolerance; the root mean square of a step's error over
            ``atol + rtol * |y|`` is held below 1.
        max_nfe: Budget of products and operators of one forward solve.

    Raises:
        ValueError: If a number is out of range.

    Note:
        A step of order 2 evaluates the operator twice and takes an exponential of the whole step
        and one of half of it; its error estimate an operator and an exponential more, without
        gradient. A step of order 4 takes 4 operators and 5 exponentials of half the step, 3 of
        them at a low accuracy, like those of order 2 that serve an operator alone. A step that is
        far too long is given up after 2 exponentials. An exponential costs about
        tau + 4 sqrt(tau) products for tau = alpha times its length, at a low accuracy half of it.
        The gradient goes through the accepted results alone, whose lengths count as constants; it
        keeps one state per exponential (where those of all its products fit into 20 MiB, these),
        computes the others again in the backward pass, and cannot be differentiated again.
        ``nfe_forward`` counts products and operators.
    """

    rtol: float = 1e-4
    atol: float = 1e-5
    max_nfe: int = 100_000
    method: str = "commutator_free"

    def __post_init__(self) -> None:
        check_positive(self, "rtol", "atol", "max_nfe")

    def solve(self, f: AnyField, y0: State, ts: Tensor) -> Solution[Any]:
        """Integrate ``y0`` from ``ts[0]`` through ``ts[1:]``, forward in time.

        Args:
            f: A :class:`QuasilinearField`.
            y0: Initial state ``[N, F]``.
            ts: Rising times, float64 ``[1 + S]``.

        Raises:
            TypeError: If the field has no such operator, or the state is a tuple.
            ValueError: If time runs backwards, where diffusion is ill-posed.
        """
        if not isinstance(f, QuasilinearField) or not isinstance(y0, Tensor):
            raise TypeError(
                "expected a diffusion field with a row-stochastic operator A(y) for "
                "solver='commutator_free' (got another field, or a tuple as state): use another "
                "solver, like 'auto'"
            )
        if bool(ts[-1] < ts[0]):
            raise ValueError(
                "expected time to run forwards for solver='commutator_free': "
                "diffusion backwards in time is ill-posed"
            )
        evolution = Evolution(f, y0, ts, self.rtol, self.atol, self.max_nfe)
        status = evolution.run()
        if status is Status.SUCCESS:
            ys = torch.stack(evolution.saved)
        else:
            ys = y0.new_full((len(ts) - 1, *y0.shape), math.nan)
        return Solution(ts[1:], ys, evolution.stats, status, evolution.t)


class ShortStepError(Exception):
    """The operator changes so fast that a step is no longer than one of an explicit method."""


@dataclass
class Evolution:
    """One solve under way.

    Args:
        f: The field.
        y: The state at time ``t``.
        ts: Rising times ``[1 + S]``.
        rtol, atol, max_nfe: As in :class:`CommutatorFree`.
        shortest: Raise :class:`ShortStepError` where alpha h has to be below this and does not
            reach the next saved time. (default: ``0.0``)
    """

    f: QuasilinearField
    y: Tensor
    ts: Tensor
    rtol: float
    atol: float
    max_nfe: int
    shortest: float = 0.0
    stats: SolveStats = field(default_factory=SolveStats)
    saved: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.t = float(self.ts[0].detach())
        self._norm = ErrorNorm(self.rtol, self.atol)
        self._alpha = self.f.alpha.to("cpu", torch.float64)
        self._rate = float(self._alpha.detach())
        self._trouble = Status.STEP_UNDERFLOW
        # Error of order 4 over that of order 2 where both were known last.
        self._share = math.inf
        # Order and errors of the last step whose errors became known, and its length.
        self._order = 2
        self._last: Errors | None = None
        self._hopeful = True  # no overlong step has failed
        # Memory for the states of all exponentials.
        self._spares: list[Tensor] = []
        # Values of A at y, where they are known already.
        self._here: Tensor | None = None

    def run(self) -> Status:
        """Go through all times; ``saved`` holds the states that were reached.

        Raises:
            ShortStepError: See above; ``t`` and ``y`` are those of the last accepted step.
        """
        times = self.ts.tolist()
        self._length = self._whole = times[-1] - times[0]
        self._smallest = 16 * torch.finfo(torch.float64).eps * max(self._length, *map(abs, times))
        if self._rate > 0:
            self._length = min(self._length, _FIRST_RATE / self._rate)
        try:
            self._here = self._operator(self.y)
            if not is_stochastic(self.f.csr, self._here.detach()):
                return Status.NOT_STOCHASTIC
            for start, end in pairwise(self.ts):
                self._advance(start, end, is_last=len(self.saved) == len(times) - 2)
                self.saved.append(self.y)
        except StepError as error:
            return error.status
        return Status.SUCCESS if is_finite(self.y) else Status.NON_FINITE

    def _advance(self, start: Tensor, end: Tensor, is_last: bool) -> None:
        """Take steps from one time to the next."""
        span, done = (end - start).to("cpu"), 0.0
        whole = float(span.detach())
        while done < whole:
            left = whole - done
            overlong = self._hopeful and self._last is not None
            reaches = self._length * (_HOPE if overlong else _STRETCH) >= left
            overlong = reaches and left > _STRETCH * self._length
            length = left if reaches else self._length
            if not reaches and self._rate * length < self.shortest:
                raise ShortStepError
            if length <= self._smallest:
                raise StepError(self._trouble)
            # The length of the step that ends on time carries the gradient to both times.
            exact = span - done if reaches else span.new_tensor(length)
            proposed = self._length
            y = self._step(exact, length, follows=not (reaches and is_last), overlong=overlong)
            if y is None:
                self.stats.rejected += 1
                if overlong:
                    self._hopeful, self._length = False, proposed
                continue
            self.y, done = y, whole if reaches else done + length
            self.t = float(end.detach()) if reaches else float(start.detach()) + done
            self.stats.steps += 1

    def _step(self, exact: Tensor, length: float, follows: bool, overlong: bool) -> Tensor | None:
        """Try a step and propose the length of the next; ``None`` if both orders miss."""
        half, y = exact / 2, self.y
        first = self._operator(y) if self._here is None else self._here
        y2 = self._freeze(first, y, half, stage=True)
        second = self._operator(y2)
        y3 = self._freeze(second, y, half, stage=True)
        change = self._size(y2.detach() - y3.detach(), y2)
        foreseen = self._foresee(length, change)
        if change > max(_HOPELESS, _HOPELESS_CHANGE / self.rtol):
            self._length = length * max(_HOPEFUL * _HOPELESS / change, _SHRINK)
            return None
        if overlong and foreseen.best > _OVERLONG:
            return None
        stages = Stages(half, y, y2, y3, first, second)
        if change < _HARD and (self._order == 2 or foreseen.coarse < _EASY):
            low = self._freeze(second, y, exact)
            end = self._end(low, follows)
            with torch.no_grad():
                third = self._operator(y3)
            coarse = self._coarse(stages, third, end, low)
            if coarse <= 1:
                self._here = end if follows else None
                self._note(length, change, coarse, coarse * self._share)
                return low
            if self._fails(length, coarse):
                return None
            del low, end
        return self._step_of_order_4(stages, length, change, follows)

    def _step_of_order_4(
        self, stages: Stages, length: float, change: float, follows: bool
    ) -> Tensor | None:
        """The same by order 4."""
        half, y, y2, y3, first, second = stages
        third = self._operator(y3)
        y4 = self._freeze(2 * third - first, y2, half, stage=True)
        fourth = self._operator(y4)
        middle = torch.add(second, third).mul(2)
        z = self._freeze((middle + 3 * first - fourth) / 6, y, half)
        high = self._freeze((middle - first + 3 * fourth) / 6, z, half)
        coarse = self._coarse(stages, third, fourth, high)
        if self._fails(length, coarse):
            return None
        end = self._end(high, follows)
        fine = max(self._fine(stages, fourth, end, high), coarse / _LADDER)
        self._share = fine / coarse if coarse > 0 else math.inf
        self._note(length, change, coarse, fine)
        if not fine <= 1:
            return None
        self._here = end if follows else None
        return high

    def _end(self, y: Tensor, follows: bool) -> Tensor:
        """The operator at the end of a step, which the next one begins with."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and follows):
            return self._operator(y)

    @torch.no_grad()
    def _coarse(self, stages: Stages, third: Tensor, fourth: Tensor, end: Tensor) -> float:
        """Estimate of the error of order 2."""
        half, y, y2, y3, first, second = (v.detach() for v in stages)
        middle = torch.add(second, third.detach()).mul_(2).sub_(second, alpha=6)
        fourth = fourth.detach()
        error = self._product((middle + 3 * first - fourth).div_(6), (y + y2).div_(2))
        error += self._product((middle - first + 3 * fourth).div_(6), (y3 + end.detach()).div_(2))
        return self._size(error.mul_(float(half) * self._rate), end)

    @torch.no_grad()
    def _fine(self, stages: Stages, fourth: Tensor, last: Tensor, end: Tensor) -> float:
        """Estimate of the error of order 4."""
        half, y, y2, y3, _, _ = (v.detach() for v in stages)
        state = (y3 + end.detach()).div_(4).sub_(y + y2, alpha=1 / 12)
        error = self._product(last.detach() - fourth.detach(), state)
        return self._size(error.mul_(float(half) * self._rate), end)

    def _product(self, weight: Tensor, y: Tensor) -> Tensor:
        self._check_budget(1)
        self.stats.nfe_forward += 1
        return multiply(self.f.csr, weight, y)

    def _fails(self, length: float, coarse: float) -> bool:
        """Whether neither order will do, by the error of order 2; propose a shorter step then."""
        if not math.isfinite(coarse):
            self._trouble, self._length = Status.NON_FINITE, length * _RESCUE
            return True
        self._trouble = Status.STEP_UNDERFLOW
        if coarse > _LADDER:
            self._propose(length, coarse, coarse / _LADDER)
            return True
        return False

    def _foresee(self, length: float, change: float) -> Errors:
        """The errors of a step from those of the last one and the changes of the operator."""
        last = self._last
        if last is None or not last.change > 0:
            return Errors(length, change, math.inf, math.inf)
        factor = change / last.change * length / last.length
        return Errors(length, change, last.coarse * factor, last.fine * factor)

    def _note(self, length: float, change: float, coarse: float, fine: float) -> None:
        """Keep the errors of a step and propose the next."""
        last, self._last = self._last, Errors(length, change, coarse, fine)
        fall = 1.0
        if last is not None and coarse > 0:
            # By how much the same step would have had a smaller error than the last one.
            fall = min(max(last.coarse / coarse * (length / last.length) ** 3, 1.0), _FALL)
        self._propose(length, coarse / fall, fine / fall)

    def _freeze(self, weight: Tensor, y: Tensor, duration: Tensor, stage: bool = False) -> Tensor:
        """The solution after ``duration`` where A has the values ``weight``."""
        tau = self._alpha * duration
        series = self._series(float(tau.detach()), stage)
        self._check_budget(series.products)
        if not torch.is_grad_enabled():
            weight, y, tau, duration = (v.detach() for v in (weight, y, tau, duration))
        return apply_series(
            self.f.csr,
            weight,
            self.f.source,
            y,
            series,
            tau,
            duration,
            self.stats,
            spares=self._spares,
        )

    def _series(self, tau: float, stage: bool) -> Series:
        tol = min(_SERIES_SHARE * self.rtol, 0.1)
        if stage:
            tol = max(tol, min(_STAGE_SHARE * self.rtol, _STAGE_TOLERANCE))
        return Series.powers(tau, tol)

    def _operator(self, y: Tensor) -> Tensor:
        self._check_budget(1)
        self.stats.nfe_forward += 1
        weight = self.f.operator(y)
        if weight.requires_grad:
            # A hook that held this object would hold the graph that holds the hook.
            weight.register_hook(partial(_count_backward, self.stats))
        return weight

    def _check_budget(self, more: int) -> None:
        if self.stats.nfe_forward + more > self.max_nfe:
            raise StepError(Status.MAX_NFE)

    def _size(self, error: Tensor, y: Tensor) -> float:
        """Size of an error of the state ``y`` in units of the tolerance (one device read)."""
        scale = y.detach().abs()
        torch.maximum(scale, self.y.detach().abs(), out=scale)
        return _DOUBT * float(self._norm(error, scale))

    def _propose(self, length: float, coarse: float, fine: float) -> None:
        """The next step's order, the cheaper one per time, and its length."""
        by_low, by_high = _gain(coarse, 3), _gain(fine, 4)
        cheaper = by_high * self._cost(2, length * by_low) >= by_low * self._cost(
            4, length * by_high
        )
        # A step too long for order 4 is no measure for the short steps of order 2.
        is_high = by_high > 0 and (cheaper or fine > 1)
        self._order, gain = (4, by_high) if is_high else (2, by_low)
        if fine > 1 and coarse > 1:
            # Errors of a step that was too long fall more slowly than orders promise. Not more
            # than half: where order 2 will do, the longer steps of order 4 are not found again.
            gain = min(gain, max(_CUT / fine, 0.5))
        self._length = length * min(max(gain, _SHRINK), _GROWTH)

    def _cost(self, order: int, length: float) -> float:
        """Products of a step with its gradient."""
        half = self._rate * min(length, self._whole) / 2
        stage, part = (self._series(half, flag).products for flag in (True, False))
        whole = self._series(2 * half, False).products
        products = stage + whole if order == 2 else 3 * stage + 2 * part
        return products + order * _OPERATOR


@dataclass(frozen=True)
class Errors:
    """Length of a step, change of the operator along it, and the errors of both orders."""

    length: float
    change: float
    coarse: float
    fine: float

    @property
    def best(self) -> float:
        """The smaller error."""
        return min(self.coarse, self.fine)


class Stages(NamedTuple):
    """Stages that both orders begin with."""

    half: Tensor
    y: Tensor
    y2: Tensor
    y3: Tensor
    first: Tensor
    second: Tensor


def _count_backward(stats: SolveStats, grad: Tensor) -> None:
    stats.nfe_backward += 1


def _gain(error: float, order: int) -> float:
    """Factor that brings the error of a step of this order in h to the tolerance."""
    return _SAFETY * max(error, 1e-10) ** (-1 / order) if math.isfinite(error) else 0.0
