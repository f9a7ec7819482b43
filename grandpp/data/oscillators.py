"""The embedded sequences: two coupled, damped and driven masses, seen at irregular times."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from grandpp.data.windows import SequenceData, Windows, standardize

CHANNELS = ("position 1", "position 2")
STIFFNESS = ((1.5, -0.5), (-0.5, 2.5))
"""K of q'' = -K q - c q' + drive: springs of 1 and 2 to the walls and one of 0.5 between."""
DAMPING = 0.1
FREQUENCY = 1.7
AMPLITUDE = 0.5
SHORTEST, LONGEST = 0.1, 0.5
"""Limits of the time between two observations; a fast period is about 4, a slow one 5.5."""


def oscillate(start: Tensor, phase: Tensor, times: Tensor) -> Tensor:
    r"""Positions of the two masses, exactly.

    .. math::
        q'' = -K q - c q' + a \, (\cos(\omega t + \varphi), 0)

    with K, c, a and omega as in this file. The drive is the solution of a linear equation itself,
    so that one matrix exponential carries positions, velocities and drive.

    Args:
        start: Positions and velocities at time 0, ``[N, 4]``.
        phase: Phase of the drive at time 0, ``[N]``.
        times: ``[N, T]``.

    Returns:
        Positions ``[N, T, 2]``.

    Shape:
        Cost: N T exponentials of 6 by 6 matrices.
    """
    a = torch.zeros(6, 6, dtype=start.dtype)
    unit = torch.eye(2, dtype=a.dtype)
    a[:2, 2:4] = unit
    a[2:4, :2] = -torch.tensor(STIFFNESS, dtype=a.dtype)
    a[2:4, 2:4] = -DAMPING * unit
    a[2, 4] = AMPLITUDE  # the first mass alone is driven, by a cosine
    a[4, 5], a[5, 4] = -FREQUENCY, FREQUENCY  # (cos, sin)' = omega (-sin, cos)
    state = torch.cat([start, phase.cos()[:, None], phase.sin()[:, None]], dim=1)
    carried = torch.linalg.matrix_exp(times[..., None, None] * a) @ state[:, None, :, None]
    return carried[..., :2, 0]


class DampedOscillators(SequenceData):
    """Windows of independent motions of two coupled masses; needs no file.

    Every window has its own start, drawn from a normal distribution, its own phase of the drive and
    its own times, whose gaps are uniform in [0.1, 0.5]. Positions alone are observed, so that a
    model has to find the velocities. Values are standardised by the training windows.

    Args:
        seed: Of everything that is drawn. (default: ``0``)
        train: Windows to learn from. (default: ``256``)
        validation: Windows that choose the epoch. (default: ``128``)
        test: Windows to report. (default: ``128``)
        length: Observations in a window. (default: ``12``)
        horizon: Rows to forecast. (default: ``4``)

    Raises:
        ValueError: For a number below 1.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        train: int = 256,
        validation: int = 128,
        test: int = 128,
        length: int = 12,
        horizon: int = 4,
    ) -> None:
        sizes = {"train": train, "validation": validation, "test": test}
        for name, size in {**sizes, "length": length, "horizon": horizon}.items():
            if size < 1:
                raise ValueError(f"expected '{name}' of at least 1 (got {size})")
        generator = torch.Generator().manual_seed(seed)
        count = train + validation + test
        start = torch.randn(count, 4, generator=generator, dtype=torch.float64)
        phase = 2 * math.pi * torch.rand(count, generator=generator, dtype=torch.float64)
        share = torch.rand(count, length + horizon, generator=generator, dtype=torch.float64)
        times = (SHORTEST + (LONGEST - SHORTEST) * share).cumsum(1)
        times = times - times[:, :1]
        rows = oscillate(start, phase, times)
        scaling = standardize(rows[:train].flatten(0, 1))
        rows = (rows - scaling.mean) / scaling.deviation
        whole = Windows(rows[:, :length], times[:, :length], times[:, length:], rows[:, length:])
        a, b = train, train + validation
        super().__init__(CHANNELS, whole[:a], whole[a:b], whole[b:], scaling)
