"""Peak memory of a stretch of code."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

import torch

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Measure the peak memory inside a ``with`` block.

    On CUDA it is the allocator's peak. On Linux it is the largest resident size of the process
    inside the block (everything loaded before included); elsewhere the largest since the process
    began, because nothing else is on offer.

    Args:
        device: Where the code runs.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.mib = 0.0

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            _reset_resident_peak()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.device.type == "cuda":
            self.mib = torch.cuda.max_memory_allocated(self.device) / 2**20
        else:
            self.mib = _resident_peak_mib()


def _reset_resident_peak() -> None:
    try:
        _CLEAR.write_text("5")
    except OSError:
        return  # not Linux, or not permitted: the peak since the start is reported


def _resident_peak_mib() -> float:
    try:
        line = next(s for s in _STATUS.read_text().splitlines() if s.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    except (OSError, StopIteration):
        import resource  # not on Windows, where this fallback has nothing to offer

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
