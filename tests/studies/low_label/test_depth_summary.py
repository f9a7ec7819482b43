"""The table of a depth study."""

from __future__ import annotations

import pytest

from grandpp.studies.low_label.depth import summarise, table


def test_failed_runs_are_counted_as_failed():
    record = {"model": "grand-nl", "config": {"time": 9.0}, "status": "max_nfe", "energy": None}
    good = {**record, "status": "success", "test_accuracy": 0.5, "val_accuracy": 0.75,
            "last_test_accuracy": 0.25, "energy": 0.01, "nfe_forward": 10.0}  # fmt: skip
    (row,) = summarise([record, good])
    assert (row["runs"], row["failed"]) == (1, 1)
    assert (row["test_accuracy"], row["val_accuracy"]) == (0.5, 0.75)
    assert row["energy"] == pytest.approx(0.01)
    (row,) = summarise([record])
    assert (row["runs"], row["test_accuracy"], row["energy"]) == (0, None, None)
    assert table([row]).split()[-8:] == ["9", "0", "1", "-", "-", "-", "-", "-"]
