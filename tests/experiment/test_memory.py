"""Peak memory."""

from __future__ import annotations

import torch

from grandpp.experiment.memory import PeakMemory

CPU = torch.device("cpu")


def test_peak_memory_sees_a_large_allocation():
    with PeakMemory(CPU) as before:
        pass
    with PeakMemory(CPU) as peak:
        block = torch.ones(50 * 2**20)  # 200 MiB
        del block
    assert peak.mib > before.mib + 150
