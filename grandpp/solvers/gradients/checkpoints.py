"""Gradients from checkpoints: recompute each accepted step, the last one first.

The adaptive checkpoint adjoint (Zhuang et al. 2020) keeps the state at the start of every accepted
step and nothing else. Its backward pass repeats one step at a time with its graph, from the state
kept, and back-propagates through it: the gradient of the discrete solution, as by back-propagation
through the whole solve, in the memory of one step. Step sizes count as constants.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from grandpp.linalg.once_differentiable import once_differentiable
from grandpp.solvers.base import like_state, parts_of
from grandpp.solvers.gradients.captured import autocast_state, bind_tensors, fresh_leaves
from grandpp.solvers.gradients.counting import CountedField, Step
from grandpp.solvers.gradients.ownership import alive
from grandpp.vector_field import AnyField, S, State

GRADIENTS: tuple[str, ...] = ("direct", "adjoint", "checkpoint")
"""How a gradient is computed: through the solve, by the adjoint equation, from checkpoints."""


class Replayed(NamedTuple):
    """A recomputed step.

    Args:
        ys: States at the requested times, from its start to its end.
        end: State at its end, where ``ys`` gives it with more rounding.
        slope: Derivative that the next step starts with, where it is not f at its end.
    """

    ys: State
    end: State | None = None
    slope: State | None = None


Replay = Callable[[AnyField, Step, Tensor], Replayed]
"""Take a step again through times from its start to its end."""


class StepTimes(NamedTuple):
    """Origin of the times of a step: rows of the times input, and the states it saved."""

    times: tuple[int, ...]
    saved: tuple[int, ...]


@dataclass
class Tape:
    """Data of a backward pass besides tensors.

    Args:
        counted_field: The counted right-hand side.
        replay: Takes a step again.
        places: Step times of the accepted steps.
        steps: The accepted steps; autograd keeps their states.
        parts: Number of parts of a state.
        single: Whether a state is one tensor.
        whole: Whether steps end on times of the input (fixed steps), not by their size.
        direction: 1 forwards in time, -1 backwards.
        autocast: Device type, and whether and how the forward pass mixed precisions there.
    """

    counted_field: CountedField
    replay: Replay
    places: list[StepTimes]
    steps: list[Step]
    parts: int
    single: bool
    whole: bool
    direction: float
    autocast: tuple[str, bool, torch.dtype]

    def state(self, parts: Sequence[Tensor]) -> State:
        """A state of its parts."""
        return parts[0] if self.single else tuple(parts)


def checkpointed(
    counted_field: CountedField,
    replay: Replay,
    y0: S,
    ys: S,
    ts: Tensor,
    grid: Tensor | None,
    captured: Sequence[Tensor],
) -> tuple[S, Tape]:
    """Give the states of a solve without graph the gradient of its accepted steps.

    Args:
        counted_field: The counted right-hand side, with the steps it kept.
        replay: Takes a step again.
        y0: Initial state.
        ys: States at ``ts``, the initial state included.
        ts: Times.
        grid: Ends of all steps, differentiable by ``ts``; ``None`` for adaptive methods.
        captured: Every other tensor that f depends on.

    Returns:
        The states, and the tape, which must be kept alive until the backward pass.

    Note:
        Keeps one state per accepted step until the backward pass, and the graph of one step
        during it.
    """
    steps = counted_field.kept or []
    direction = 1.0 if float(ts[-1].detach()) > float(ts[0].detach()) else -1.0
    start = _parts(y0)
    kept = [part for step in steps for state in (step.y, step.slope) for part in _parts(state)]
    tape = Tape(
        counted_field=counted_field,
        replay=replay,
        places=_step_times(steps, ts, grid, direction),
        # Autograd keeps the tensors: it frees them, moves them and guards them against changes.
        steps=[replace(s, y=(), slope=None if s.slope is None else ()) for s in steps],
        parts=len(start),
        single=isinstance(y0, Tensor),
        whole=grid is not None,
        direction=direction,
        autocast=autocast_state(start[0]),
    )
    counted_field.kept, counted_field.forward_done = None, True
    counted_field.release()
    times = ts if grid is None else grid
    inputs = (*start, *captured, *_parts(ys), *kept)
    return like_state(y0, _Checkpointed.apply(tape, times, *inputs)), tape


@once_differentiable
class _Checkpointed(torch.autograd.Function):
    """Inputs: tape, times, parts of y0, captured, parts of ys, parts of the kept states."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, times: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        kept = sum(tape.parts * (1 if s.slope is None else 2) for s in tape.steps)
        ctx.tape, ctx.inputs = weakref.ref(tape), len(tensors) - kept - tape.parts
        outputs = tensors[ctx.inputs : ctx.inputs + tape.parts]
        ctx.save_for_backward(
            times, *tensors[tape.parts : ctx.inputs], *tensors[ctx.inputs + tape.parts :]
        )
        ctx.rest = kept + tape.parts
        return tuple(y.view_as(y) for y in outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tape: Tape = alive(ctx.tape)
        captured = ctx.inputs - tape.parts
        times, *saved = ctx.saved_tensors
        sweep = _Sweep(tape, times, saved[:captured], ctx.needs_input_grad[1])
        device, enabled, dtype = tape.autocast
        with torch.autocast(device, enabled=enabled, dtype=dtype):
            start = sweep.run(saved[captured:], grads)
        found = iter(sweep.totals)
        totals = [next(found) if c.requires_grad else None for c in sweep.leaves]
        return (None, sweep.time_total, *start, *totals, *[None] * ctx.rest)


class _Sweep:
    """One backward pass: cotangents of the running state, and the sums for all other inputs."""

    def __init__(
        self, tape: Tape, times: Tensor, captured: Sequence[Tensor], time_wanted: bool
    ) -> None:
        field = tape.counted_field.f
        self.tape, self.times = tape, times.detach()
        self.leaves = fresh_leaves(field, captured)
        self.wanted = [c for c in self.leaves if c.requires_grad]
        self.totals = [torch.zeros_like(c) for c in self.wanted]
        self.time_total = torch.zeros_like(self.times) if time_wanted else None
        tape.counted_field.f = bind_tensors(field, self.leaves)

    def run(self, kept: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor | None]:
        """Go through all steps; return the gradient to the initial state."""
        tape, last = self.tape, len(kept)
        carry: list[Tensor | None] = []  # of the state, then of the slope, at the step's end
        for step, place in zip(reversed(tape.steps), reversed(tape.places), strict=True):
            first = last - tape.parts * (1 if step.slope is None else 2)
            tensors = [k.detach().requires_grad_() for k in kept[first:last]]
            carry, last = self._pull_back(step, place, tensors, carry, grads), first
        return [g if c is None else g + c for g, c in zip(_rows(grads, 0), carry, strict=False)]

    def _pull_back(
        self,
        step: Step,
        place: StepTimes,
        tensors: list[Tensor],
        carry: list[Tensor | None],
        grads: Sequence[Tensor],
    ) -> list[Tensor | None]:
        """Pass the gradient through one step; return it for the start of the step."""
        tape, n = self.tape, self.tape.parts
        slope = None if step.slope is None else tape.state(tensors[n:])
        again = replace(step, y=tape.state(tensors[:n]), slope=slope)
        with torch.enable_grad():
            leaf = self.times[list(place.times)]
            leaf[0] = step.t
            leaf.requires_grad_(self.time_total is not None)
            result = tape.replay(tape.counted_field, again, self._through(leaf, step))
            pairs = list(_cotangents(result, place, carry, grads))
        used = [pair for pair in pairs if pair[1] is not None and pair[0].requires_grad]
        by = [*tensors, *self.wanted, *([] if self.time_total is None else [leaf])]
        found: list[Tensor | None] = list(
            torch.autograd.grad(
                [out for out, _ in used],
                by,
                [grad for _, grad in used],
                retain_graph=tape.counted_field.retain,
                allow_unused=True,
            )
        )
        if self.time_total is not None and (to_times := found.pop()) is not None:
            self.time_total.index_add_(0, torch.tensor(place.times).to(to_times.device), to_times)
        for total, grad in zip(self.totals, found[len(tensors) :], strict=True):
            if grad is not None:
                total += grad
        return found[: len(tensors)]

    def _through(self, leaf: Tensor, step: Step) -> Tensor:
        """Times from the start of a step to its end, which a saved state may have reached."""
        if self.tape.whole:
            return leaf
        end = leaf[:1] + self.tape.direction * step.size
        return leaf if len(leaf) > 1 and bool(leaf[-1] == end) else torch.cat([leaf, end])


def _cotangents(
    result: Replayed, place: StepTimes, carry: Sequence[Tensor | None], grads: Sequence[Tensor]
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Results of a step, each with its gradient: saved states, then the start of the next step."""
    for k, row in enumerate(place.saved, start=1):
        yield from zip(_rows(_parts(result.ys), k), _rows(grads, row), strict=True)
    end = _parts(result.end) or tuple(_rows(_parts(result.ys), -1))
    yield from zip((*end, *_parts(result.slope)), carry, strict=False)


def _parts(y: State | None) -> tuple[Tensor, ...]:
    return () if y is None else parts_of(y)


def _rows(ys: Sequence[Tensor], row: int) -> list[Tensor]:
    return [y[row] for y in ys]


def _step_times(
    steps: Sequence[Step], ts: Tensor, grid: Tensor | None, direction: float
) -> list[StepTimes]:
    """Return the step times of accepted steps.

    Args:
        steps: The steps.
        ts: Times of the solve.
        grid: Ends of all steps; ``None`` for adaptive methods.
        direction: 1 forwards in time, -1 backwards.
    """
    times, places, row = ts.tolist(), [], 1
    ends = None if grid is None else grid.tolist()
    for n, step in enumerate(steps):
        end = step.t + direction * float(step.size) if ends is None else ends[n + 1]
        first = row
        while row < len(times) and direction * times[row] <= direction * end:
            row += 1
        saved = tuple(range(first, row))
        places.append(StepTimes((0, *saved) if ends is None else (n, n + 1), saved))
    return places
