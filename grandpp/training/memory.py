"""Peak memory of a block of code, and errors that say that there was too little.

Own code, because psutil cannot reset the peak that Linux records for a process.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import TracebackType

import torch

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Measure the peak memory inside a ``with`` block.

    On CUDA it is the allocator's peak. On Linux it is the largest resident size of the process
    inside the block, including everything loaded before; on other systems the largest since the
    process began, as the peak cannot be reset there.

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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be allocated, by Python, NumPy or torch."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # torch has no class of its own for this on the CPU.
    words = ("DefaultCPUAllocator", "Cannot allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def keep_freed_memory() -> bool:
    """Let the C library keep what tensors free instead of handing it back to the system.

    By default glibc maps every tensor above 32 MiB anew and unmaps it afterwards: on a graph of
    170,000 nodes 40 % of a training step went into page faults. The setting holds for the whole
    process, so it is the program's to make, not the library's.

    Returns:
        Whether the C library took the setting.
    """
    trim_threshold, mmap_threshold, most = -1, -3, 2**31 - 1
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return bool(mallopt and mallopt(mmap_threshold, 2**30) and mallopt(trim_threshold, most))
