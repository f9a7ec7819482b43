"""Whether all entries are finite."""

from __future__ import annotations

import torch

from grandpp.linalg import all_finite


def test_finiteness_is_tested_entry_by_entry_where_a_sum_overflows():
    large = torch.full((9,), 3e38)
    assert not torch.isfinite(large.sum())
    assert all_finite(large)
    for bad in (float("nan"), float("inf"), -float("inf")):
        large[4] = bad
        assert not all_finite(large)
    assert not all_finite(torch.tensor([float("inf"), -float("inf")]))
    assert all_finite(torch.ones(0))
