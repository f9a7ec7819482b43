"""Peak memory."""

from __future__ import annotations

import mmap

import torch

from grandpp.training.memory import PeakMemory

CPU = torch.device("cpu")


def test_peak_memory_sees_a_large_allocation():
    with PeakMemory(CPU) as before:
        pass
    with PeakMemory(CPU) as peak, mmap.mmap(-1, 200 * 2**20) as block:
        # Mapped anew: malloc might hand out pages that earlier tests have touched and freed.
        block.write(bytes(200 * 2**20))
    assert peak.mib > before.mib + 150
