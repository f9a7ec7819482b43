"""Accuracy checks of torchdiffeq's Adams methods, and the status of a failed solve."""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.solvers.base import Status, is_finite, map_parts, needs_grad, parts_of
from grandpp.solvers.explicit.spans import is_beyond
from grandpp.solvers.gradients.captured import named_tensors
from grandpp.solvers.gradients.counting import CountedField, StepCountedField, detached
from grandpp.vector_field import AnyField, State

# With more, as torchdiffeq has by default, explicit steps are unstable from h L = 0.01 on and
# implicit ones from 0.2, long before their error shows it; with five from 0.3 and 1.8.
MAX_ORDER = 5
# The steps that Runge-Kutta takes before there are enough slopes.
_STARTING_STEPS = 2
# Largest last change of the corrector, and largest difference to the trapezoidal rule, of a trusted
# step, relative to the largest state so far. A step of h L = 1 that is as good as its order allows
# differs from the trapezoidal rule by a tenth.
_CORRECTION, _DIFFERENCE = 1e-2, 0.5


class AdamsCountedField(StepCountedField):
    """Count evaluations, and check every step by the slopes at both of its ends.

    torchdiffeq iterates the corrector of an implicit step four times and warns if it has not
    converged to a tolerance that single precision never reaches.
    """

    implicit = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._starts, self._own_steps = False, 0
        self._before: tuple[Tensor, State, State] | None = None
        self._latest: State | None = None
        self._sizes: list[Tensor] = []
        self._corrections: list[Tensor] = []
        self._differences: list[Tensor] = []

    def begin_span(self, y: State) -> None:
        """Discard the steps before ``y``; a solve from here does not use them."""
        self._note_correction(y)
        self._before, self._latest, self._own_steps = None, None, 0

    def callback_step(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        """Count a step, and record the size of the last correction of the one before."""
        super().callback_step(t0, y0, dt)
        self._note_correction(y0)
        self._starts = True
        self._own_steps += 1

    def __call__(self, t: Tensor, y: State) -> State:
        """Evaluate and count; the first evaluation of a step completes the one before."""
        dy = super().__call__(t, y)
        if not self.forward_done:
            self._latest = detached(y)
            if self._starts:
                self._starts = False
                self._note_difference(t.detach(), detached(y), detached(dy))
        return dy

    def is_consistent(self, y: State) -> bool:
        """Whether the solve that ended with ``y`` can be trusted (one device read)."""
        self._note_correction(y)
        good = torch.ones(())
        for values, most in ((self._corrections, _CORRECTION), (self._differences, _DIFFERENCE)):
            if values:
                good = good * (torch.stack(values).max() <= most).to("cpu")
        return bool(good)

    @torch.no_grad()
    def _note_correction(self, y: State) -> None:
        if self.implicit and self._own_steps > _STARTING_STEPS and self._latest is not None:
            self._corrections.append(_distance(y, self._latest) / self._scale(y))

    @torch.no_grad()
    def _note_difference(self, t: Tensor, y: State, dy: State) -> None:
        if self._before is not None:
            t0, y0, dy0 = self._before
            half = (t - t0) / 2
            parts = zip(*map(parts_of, (y0, dy0, dy)), strict=True)
            rule = tuple(a + half.to(a.dtype.to_real()) * (b + c) for a, b, c in parts)
            scale = torch.maximum(_size(y), _size(y0)) + torch.finfo(torch.float32).tiny
            if self._own_steps > _STARTING_STEPS + 1:
                self._differences.append(_distance(y, rule) / scale)
        self._before = (t, y, dy)

    def _scale(self, y: State) -> Tensor:
        size = _size(y)
        if self._sizes:
            size = torch.maximum(size, self._sizes.pop())
        self._sizes.append(size)
        return size + torch.finfo(torch.float32).tiny


class ExplicitAdamsCountedField(AdamsCountedField):
    """The same for explicit steps, which have no corrector."""

    implicit = False


def adams_counted_field(implicit: bool) -> type[AdamsCountedField]:
    """Return the counted field of implicit or explicit Adams steps."""
    return AdamsCountedField if implicit else ExplicitAdamsCountedField


def begin_span(counted_field: CountedField, y: State) -> None:
    """Reset the counted field of Adams steps where a solve starts at ``y``."""
    if isinstance(counted_field, AdamsCountedField):
        counted_field.begin_span(y)


def status_of_states(counted_field: CountedField, ys: State, ts: Tensor) -> Status:
    """The status of a solve that returned the states at ``ts[1:]``.

    SciPy's stops short where it failed.
    """
    if not is_finite(ys):
        return Status.NON_FINITE
    if parts_of(ys)[0].size(0) != len(ts) - 1:
        return Status.STEP_UNDERFLOW
    end = map_parts(lambda y: y[-1].detach(), ys)
    bad = isinstance(counted_field, AdamsCountedField) and not counted_field.is_consistent(end)
    return Status.STEP_TOO_LARGE if bad else Status.SUCCESS


def check_no_gradient(f: AnyField, y0: State) -> None:
    """Refuse a gradient that SciPy would lose.

    Raises:
        ValueError: If the state or a tensor of the right-hand side requires one.
    """
    if needs_grad((*parts_of(y0), *named_tensors(f))):
        raise ValueError(
            "scipy_solver runs in NumPy and returns no gradient: "
            "use gradient='adjoint', another solver, or torch.no_grad()"
        )


def status_of_error(error: AssertionError, counted_field: CountedField, ts: Tensor) -> Status:
    """Return the status for an assertion error of torchdiffeq; others are raised again."""
    if "underflow in dt" not in str(error) and "non-finite" not in str(error):
        raise error
    if not ("non-finite" in str(error) or counted_field.saw_non_finite()):
        return Status.STEP_UNDERFLOW
    beyond = is_beyond(counted_field.last_t, ts)
    return Status.NON_FINITE_BEYOND if beyond else Status.NON_FINITE


def _size(y: State) -> Tensor:
    return torch.stack([torch.linalg.vector_norm(part).double() for part in parts_of(y)]).norm()


def _distance(y: State, other: State) -> Tensor:
    return _size(tuple(a - b for a, b in zip(parts_of(y), parts_of(other), strict=True)))
