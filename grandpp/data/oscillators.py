"""A synthetic sequence data set: two coupled, damped, driven masses at irregular times."""

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

    with the constants K, c, a and omega of this module. The drive solves a linear equation, too, so
    that one matrix exponential gives positions, velocities and drive.

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
    a[2, 4] = AMPLITUDE  # a cosine drives the first mass only
    a[4, 5], a[5, 4] = -FREQUENCY, FREQUENCY  # (cos, sin)' = omega (-sin, cos)
    state = torch.cat([start, phase.cos()[:, None], phase.sin()[:, None]], dim=1)
    states = torch.linalg.matrix_exp(times[..., None, None] * a) @ state[:, None, :, None]
    return states[..., :2, 0]


class DampedOscillators(SequenceData):
    """Windows of independent motions of two coupled masses; needs no file.

    Every window has its own initial state, drawn from a normal distribution, its own phase of the
    drive and its own times, whose gaps are uniform in [0.1, 0.5]. Only positions are observed, so
    that a model has to infer the velocities. Values are standardised by the training windows.

    Args:
        seed: Seed of all random numbers. (default: ``0``)
        train: Training windows. (default: ``256``)
        validation: Validation windows. (default: ``128``)
        test: Test windows. (default: ``128``)
        length: Observations in a window. (default: ``12``)
        horizon: Rows to forecast. (default: ``4``)

    Raises:
        ValueError: For a number below 1.

    Example:
        >>> data = DampedOscillators(train=8, validation=4, test=4)
        >>> data.train.x.shape
        torch.Size([8, 12, 2])
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
