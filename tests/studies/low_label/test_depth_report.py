"""The table of a depth study."""

from __future__ import annotations

import pytest

from grandpp.studies.low_label.depth_report import draw_depth, summarise, table


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


def test_the_depth_figure_says_what_it_shows(drawn, tmp_path):
    cells = [
        {"model": model, "time": time, "test_accuracy": 0.5, "energy": 0.1}
        for model in ("grand-l", "hb-l")
        for time in (1.0, 16.0)
    ]
    cells.append({"model": "hb-l", "time": 64.0, "test_accuracy": None, "energy": None})
    draw_depth(cells, "Cora, 20 labels per class", tmp_path / "a.png")
    (figure,) = drawn
    assert figure.get_suptitle() == "Cora, 20 labels per class"
    left, right = figure.axes
    assert [line.get_label() for line in left.lines] == ["grand-l", "hb-l"]
    assert list(left.lines[1].get_xdata()) == [1.0, 16.0]
    assert list(left.lines[1].get_ydata()) == [50.0, 50.0]
    assert right.get_yscale() == "log"
