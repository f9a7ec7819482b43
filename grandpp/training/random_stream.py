"""A random stream of its own for each run of a batch.

Own code, because ``torch.random.fork_rng`` restores the outer state but forgets the inner one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor


class RandomStream(AbstractContextManager["RandomStream"]):
    """Torch's random state at construction, continued from one ``with`` block to the next.

    Numbers drawn outside the blocks do not affect those inside, nor the reverse.

    Args:
        device: Device, besides the CPU, on which numbers are drawn.

    Attributes:
        state: State of the stream; setting an earlier state repeats the numbers after it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.state = self._get()
        self._outside = self.state

    def __enter__(self) -> RandomStream:
        self._outside = self._get()
        self._set(self.state)
        return self

    def __exit__(self, *exception: object) -> None:
        self.state = self._get()
        self._set(self._outside)

    def _get(self) -> tuple[Tensor, Tensor | None]:
        cuda = self._device.type == "cuda"
        return torch.get_rng_state(), torch.cuda.get_rng_state(self._device) if cuda else None

    def _set(self, state: tuple[Tensor, Tensor | None]) -> None:
        torch.set_rng_state(state[0])
        if state[1] is not None:
            torch.cuda.set_rng_state(state[1], self._device)
