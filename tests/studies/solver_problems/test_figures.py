"""What the pictures must show to be readable."""

from __future__ import annotations

from itertools import pairwise

import pytest

from grandpp.studies.solver_problems.figures import draw_error_against_nfe


def rows(*evaluations):
    return [
        {"solver": "rk4", "inner": None, "inner_tol": None, "nfe": nfe, "error": 1 / nfe}
        for nfe in evaluations
    ]


@pytest.mark.parametrize("evaluations", [(200, 8000), (20, 200_000)])
def test_an_axis_of_powers_has_several_labels_that_do_not_overlap(drawn, tmp_path, evaluations):
    draw_error_against_nfe(rows(*evaluations), "title", 1e-4, tmp_path / "a.png")
    (axes,) = drawn[0].axes
    low, high = axes.get_xlim()
    ticks = [*axes.xaxis.get_major_ticks(), *axes.xaxis.get_minor_ticks()]
    shown = [t.label1 for t in ticks if low <= t.get_loc() <= high and t.label1.get_text()]
    assert len(shown) >= 3
    boxes = sorted(label.get_window_extent().extents[[0, 2]].tolist() for label in shown)
    assert all(left[1] < right[0] for left, right in pairwise(boxes))
