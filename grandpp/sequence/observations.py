"""A batch of irregular sequences, checked and padded, as input of a recurrent loop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from grandpp.solvers.base import is_finite


@dataclass(frozen=True)
class Observations:
    """Sequences of different lengths, each with its own time stamps.

    Args:
        x: Observations ``[L, B, I]``, zero at padding; L is the largest length.
        times: Time stamps ``[L, B]``; the last one of an element is repeated at padding.
        gaps: Time ``[L - 1, B]`` to the next observation, zero at padding.
        longest: The longest gap of every row.
        present: Which observations exist ``[L, B]``; ``None`` where all do.
        observed: Which components of the observations are known ``[L, B, I]``, false at padding;
            ``None`` where all are.
        last: Last time stamp ``[B]`` of every element.
        horizon: Times ``[H, B]`` to forecast, or ``None``.
    """

    x: Tensor
    times: Tensor
    gaps: Tensor
    longest: list[float]
    present: Tensor | None
    observed: Tensor | None
    last: Tensor
    horizon: Tensor | None

    @classmethod
    def of(
        cls,
        x: Tensor,
        times: Tensor,
        lengths: Tensor | None,
        horizon: Tensor | None,
        mask: Tensor | None = None,
    ) -> Observations:
        """Check a batch and set its padding to zero.

        Args:
            x: Observations ``[L, B, I]``.
            times: Time stamps ``[L, B]``, strictly increasing along every element.
            lengths: Number of observations ``[B]`` of every element, ``None`` for L each.
            horizon: Times ``[H, B]`` not before the last observation, strictly increasing.
            mask: Which components are known, bool ``[L, B, I]``; the others may hold anything.
                (default: ``None``, all)

        Raises:
            ValueError: For a wrong shape, a value that is not finite, lengths out of range, or
                times out of order; padding may hold anything.
        """
        if mask is not None:
            x = torch.where(mask, x, 0.0)
        present = _present(lengths, *x.shape[:2])
        if present is not None:
            rows = int(present.sum(0).max())
            x, times, present = x[:rows], times[:rows], present[:rows]
            x = torch.where(present.unsqueeze(-1), x, 0.0)
            mask = None if mask is None else mask[:rows] & present.unsqueeze(-1)
            count = present.sum(0)
            last = times.gather(0, count.unsqueeze(0) - 1)
            times = torch.where(present, times, last)
            if bool(present.all()):
                present = None
        last = times[-1]
        gaps = times[1:] - times[:-1]
        _check_values(x, times, gaps, present)
        if horizon is not None:
            _check_horizon(horizon, last)
        longest: list[float] = gaps.detach().amax(1).tolist()
        return cls(x, times, gaps, longest, present, mask, last, horizon)

    @property
    def durations(self) -> Tensor:
        """Lengths of all intervals, those up to the horizons included, in one row."""
        spans = [self.gaps.flatten()]
        if self.horizon is not None:
            ends = torch.cat([self.last.unsqueeze(0), self.horizon])
            spans.append((ends[1:] - ends[:-1]).flatten())
        return torch.cat(spans)

    @property
    def is_last(self) -> Tensor:
        """Whether an observation is the last of its element ``[L, B]``."""
        if self.present is None:
            rows = torch.arange(len(self.x), device=self.x.device).unsqueeze(1)
            return rows == len(self.x) - 1
        after = torch.cat([self.present[1:], torch.zeros_like(self.present[:1])])
        return self.present & ~after

    def filled(self, k: int, guess: Tensor | None) -> Tensor:
        """Observation k ``[B, I]``, unknown components replaced by a guess (``None``: by 0)."""
        if self.observed is None or guess is None:
            return self.x[k]
        return torch.where(self.observed[k], self.x[k], guess)

    def select_observed(self, k: int, new: Tensor, old: Tensor) -> Tensor:
        """The new state of elements with a known component in observation k, else the old one.

        Args:
            k: Number of the observation.
            new, old: States ``[B, n]`` or ``[parts, B, n]``.
        """
        if self.observed is None:
            return self.select_present(k, new, old)
        return torch.where(self.observed[k].any(-1, keepdim=True), new, old)

    def select_present(self, k: int, new: Tensor, old: Tensor) -> Tensor:
        """The new state of elements that have an observation k, else the old one.

        Args:
            k: Number of the observation.
            new, old: States ``[B, n]`` or ``[parts, B, n]``.
        """
        if self.present is None:
            return new
        return torch.where(self.present[k].unsqueeze(-1), new, old)


def observations_of(
    x: Tensor,
    times: Tensor,
    lengths: Tensor | None,
    horizon: Tensor | None,
    mask: Tensor | None,
    input_size: int,
    batch_first: bool,
) -> Observations:
    """Check the arguments of a model and put time before batch.

    Args:
        x, times, lengths, horizon, mask: As of :meth:`Observations.of`, with batch before time
            for ``batch_first``; one row of times ``[L]`` or horizons ``[H]`` serves all elements.
        input_size: Number of values of an observation.
        batch_first: Whether batch comes before time.

    Raises:
        ValueError: As :meth:`Observations.of`.
    """
    if x.dim() == 3:
        batch = x.size(0 if batch_first else 1)
        if len(times) == x.size(1 if batch_first else 0):
            times = _expand_to_batch(times, batch, batch_first)
        horizon = None if horizon is None else _expand_to_batch(horizon, batch, batch_first)
    check_shapes(x, times, lengths, horizon, input_size, batch_first, mask)
    if batch_first:
        x, times = x.transpose(0, 1), times.transpose(0, 1)
        horizon = None if horizon is None else horizon.transpose(0, 1)
        mask = None if mask is None else mask.transpose(0, 1)
    return Observations.of(x, times, lengths, horizon, mask)


def _expand_to_batch(times: Tensor, batch: int, batch_first: bool) -> Tensor:
    if times.dim() != 1:
        return times
    return times.expand(batch, -1) if batch_first else times.unsqueeze(1).expand(-1, batch)


def check_shapes(
    x: Tensor,
    times: Tensor,
    lengths: Tensor | None,
    horizon: Tensor | None,
    input_size: int,
    batch_first: bool = False,
    mask: Tensor | None = None,
) -> None:
    """Check that shapes and types of the arguments agree.

    Args:
        x, times, lengths, horizon, mask: As of :meth:`Observations.of`.
        input_size: Number of values of an observation.
        batch_first: Whether batch comes before time in all of them. (default: ``False``)

    Raises:
        ValueError: If a shape, or the type of lengths or of the mask, is wrong.
    """
    if x.dim() != 3 or x.size(2) != input_size or x.size(0) == 0 or x.size(1) == 0:
        order = "B, L" if batch_first else "L, B"
        raise ValueError(
            f"expected observations [{order}, {input_size}] with L, B >= 1 (got {list(x.shape)})"
        )
    batch = x.size(0 if batch_first else 1)
    if mask is not None and (mask.shape != x.shape or mask.dtype != torch.bool):
        raise ValueError(
            f"expected a bool mask {list(x.shape)} (got {mask.dtype} {list(mask.shape)})"
        )
    if times.shape != x.shape[:2]:
        raise ValueError(f"expected times {list(x.shape[:2])} (got {list(times.shape)})")
    if horizon is not None and (
        horizon.dim() != 2 or horizon.size(0 if batch_first else 1) != batch or not horizon.numel()
    ):
        form = f"[{batch}, H]" if batch_first else f"[H, {batch}]"
        raise ValueError(f"expected a horizon {form} with H >= 1 (got {list(horizon.shape)})")
    if lengths is not None and (lengths.shape != (batch,) or lengths.dtype != torch.int64):
        raise ValueError(
            f"expected int64 lengths [{batch}] (got {lengths.dtype} {list(lengths.shape)})"
        )


def _present(lengths: Tensor | None, steps: int, batch: int) -> Tensor | None:
    if lengths is None:
        return None
    low, high = int(lengths.min()), int(lengths.max())
    if low < 1 or high > steps:
        raise ValueError(f"expected lengths between 1 and {steps} (got {low} to {high})")
    return torch.arange(steps, device=lengths.device).unsqueeze(1) < lengths


def _check_values(x: Tensor, times: Tensor, gaps: Tensor, present: Tensor | None) -> None:
    if not is_finite(x.detach()):
        raise ValueError("expected finite observations (got NaN or inf)")
    if not is_finite(times.detach()):
        raise ValueError("expected finite times (got NaN or inf)")
    late = gaps <= 0
    if present is not None:
        late = late & present[1:]
    if bool(late.any()):
        step, element = (int(i) for i in late.nonzero()[0])
        raise ValueError(
            f"expected strictly increasing times (got {float(times[step, element]):g}, then "
            f"{float(times[step + 1, element]):g} at observation {step + 1} of element {element})"
        )


def _check_horizon(horizon: Tensor, last: Tensor) -> None:
    if not is_finite(horizon.detach()):
        raise ValueError("expected a finite horizon (got NaN or inf)")
    early = horizon[0] < last
    if bool(early.any()):
        element = int(early.nonzero()[0])
        raise ValueError(
            f"expected a horizon at or after the last observation at {float(last[element]):g} "
            f"(got {float(horizon[0, element]):g} for element {element})"
        )
    if bool((horizon[1:] <= horizon[:-1]).any()):
        raise ValueError("expected a strictly increasing horizon (got one out of order)")
