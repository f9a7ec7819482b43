"""The times of accepted steps as functions of the saved times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from grandpp.solvers.gradients.counting import Step


class StepTimes(NamedTuple):
    """Origin of the times of a step: rows of the times input, and the states it saved."""

    times: tuple[int, ...]
    saved: tuple[int, ...]


def step_times_of(
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
