"""The protocol of windowed data sets that training needs."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class WindowSet(Protocol):
    """Windows of irregular series, like :class:`grandpp.data.Windows`."""

    @property
    def x(self) -> Tensor:
        """Observations ``[N, T, C]``."""
        ...

    @property
    def times(self) -> Tensor:
        """Their times ``[N, T]``."""
        ...

    @property
    def horizon(self) -> Tensor:
        """Times to forecast ``[N, H]``."""
        ...

    @property
    def targets(self) -> Tensor:
        """Rows at those times ``[N, H, C]``."""
        ...

    @property
    def next_rows(self) -> Tensor:
        """The row after each observation ``[N, T, C]``."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor | slice) -> WindowSet: ...


class Splits(NamedTuple):
    """Windows to learn from, to choose the epoch by, and to report."""

    train: WindowSet
    validation: WindowSet
    test: WindowSet
