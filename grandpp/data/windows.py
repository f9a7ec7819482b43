"""Windows of irregularly sampled series: observations and the rows to forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Windows:
    """Windows of T observations and the H rows that follow each of them.

    Times count from the first observation of a window, so that ``times[:, 0]`` is 0.

    Args:
        x: Observations ``[N, T, C]``.
        times: Times of the observations ``[N, T]``, increasing along every row.
        horizon: Times of the rows to forecast ``[N, H]``, later and increasing.
        targets: The rows to forecast ``[N, H, C]``.
    """

    x: Tensor
    times: Tensor
    horizon: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor | slice) -> Windows:
        """The windows at an index, as windows."""
        return Windows(*(getattr(self, f.name)[index] for f in fields(self)))

    @property
    def next_rows(self) -> Tensor:
        """The row after each observation ``[N, T, C]``: ``x`` shifted by one row."""
        return torch.cat([self.x[:, 1:], self.targets[:, :1]], dim=1)

    def to(self, dtype: torch.dtype) -> Windows:
        """The same windows in another floating-point type."""
        return Windows(*(getattr(self, f.name).to(dtype) for f in fields(self)))

    def sample(self, count: int | None, seed: int = 0) -> Windows:
        """Draw windows without replacement, in their order; all if there are no more.

        Args:
            count: How many; ``None`` for all.
            seed: Seed of the draw. (default: ``0``)

        Raises:
            ValueError: For a count below 1.
        """
        if count is None or count >= len(self):
            return self
        if count < 1:
            raise ValueError(f"expected 'count' of at least 1 (got {count})")
        drawn = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:count]
        return self[drawn.sort().values]


class Scaling(NamedTuple):
    """Mean and standard deviation of every channel, ``[C]``."""

    mean: Tensor
    deviation: Tensor


class SequenceData:
    """Train, validation and test windows of one data set.

    Args:
        channels: Names of the columns.
        train: Training windows.
        validation: Validation windows, which choose the epoch.
        test: Test windows, which choose nothing.
        scaling: Mean and deviation that the values were standardised by; ``None`` if they were not.
            (default: ``None``)

    Raises:
        ValueError: If a split has no window.
    """

    def __init__(
        self,
        channels: Sequence[str],
        train: Windows,
        validation: Windows,
        test: Windows,
        scaling: Scaling | None = None,
    ) -> None:
        self.channels = tuple(channels)
        self.train, self.validation, self.test = train, validation, test
        self.scaling = scaling
        for split in ("train", "validation", "test"):
            if len(getattr(self, split)) == 0:
                raise ValueError(f"expected at least one window for {split} (got too few rows)")

    def __repr__(self) -> str:
        sizes = ", ".join(f"{s}={len(getattr(self, s))}" for s in ("train", "validation", "test"))
        length, horizon = self.train.x.size(1), self.train.targets.size(1)
        return f"{type(self).__name__}({sizes}, length={length}, horizon={horizon})"


def drop_rows(count: int, drop: float, generator: torch.Generator) -> Tensor:
    """Choose the rows that remain when a share of them is removed at random.

    Args:
        count: Number of rows.
        drop: Share to remove; exactly ``round(drop * count)`` rows are removed.
        generator: Source of randomness.

    Returns:
        Increasing row numbers, int64.

    Raises:
        ValueError: If the share is not in [0, 1).
    """
    if not 0 <= drop < 1:
        raise ValueError(f"expected 'drop' in [0, 1) (got {drop})")
    order = torch.randperm(count, generator=generator)
    return order[round(drop * count) :].sort().values


def standardize(train: Tensor) -> Scaling:
    """Compute mean and deviation of the training rows; a constant channel has deviation 1.

    The authors' code computes them over all rows, including test rows, which leaks information of
    the test set into training.

    Args:
        train: Training rows ``[n, C]``.
    """
    deviation = train.std(dim=0, correction=0)
    return Scaling(train.mean(dim=0), torch.where(deviation > 0, deviation, 1.0))


def make_windows(values: Tensor, times: Tensor, length: int, horizon: int, stride: int) -> Windows:
    """Cut a series into windows of consecutive rows.

    Window i observes the rows ``i * stride, ..., i * stride + length - 1`` and forecasts the
    ``horizon`` rows after them. Rows at the end that do not fill a window are dropped.

    Args:
        values: Rows ``[n, C]``.
        times: Times of the rows ``[n]``.
        length: Observations in a window, T.
        horizon: Rows to forecast, H.
        stride: Rows from one window to the next.

    Raises:
        ValueError: For a length, horizon or stride below 1, times that do not increase, or numbers
            that are not finite.
    """
    for name, size in {"length": length, "horizon": horizon, "stride": stride}.items():
        if size < 1:
            raise ValueError(f"expected '{name}' of at least 1 (got {size})")
    if times.shape != values.shape[:1]:
        raise ValueError(f"expected one time for each of {len(values)} rows (got {len(times)})")
    if not (torch.isfinite(values).all() and torch.isfinite(times).all()):
        raise ValueError("expected finite values and times (got NaN or inf)")
    late = (times.diff() <= 0).nonzero()
    if len(late):
        i = int(late[0])
        raise ValueError(
            "expected increasing times "
            f"(got {float(times[i]):g} and then {float(times[i + 1]):g} at row {i + 1})"
        )
    if len(values) < length + horizon:
        channels = values.size(1)
        return Windows(
            values.new_empty(0, length, channels),
            times.new_empty(0, length),
            times.new_empty(0, horizon),
            values.new_empty(0, horizon, channels),
        )
    # unfold puts the window last: [N, C, T + H]
    rows = values.unfold(0, length + horizon, stride).transpose(1, 2)
    at = times.unfold(0, length + horizon, stride)
    at = at - at[:, :1]
    return Windows(rows[:, :length], at[:, :length], at[:, length:], rows[:, length:])


def concat(parts: Sequence[Windows]) -> Windows:
    """Concatenate sets of windows."""
    return Windows(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Windows)))
