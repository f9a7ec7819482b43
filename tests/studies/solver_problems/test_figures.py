"""What the pictures must show to be readable."""

from __future__ import annotations

from itertools import pairwise

import pytest
from matplotlib.figure import Figure

from grandpp.studies.low_label.depth_figures import draw_depth
from grandpp.studies.solver_problems.figures import draw_error_against_nfe
from grandpp.training.figures import check_picture


@pytest.fixture
def drawn(monkeypatch):
    figures = []

    def keep(figure, path, **options):
        figure.draw_without_rendering()
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


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


def test_a_picture_that_could_not_be_saved_is_refused_at_once(tmp_path):
    check_picture(tmp_path / "fine.svg")
    with pytest.raises(ValueError, match="existing folder"):
        check_picture(tmp_path / "missing" / "a.png")
    with pytest.raises(ValueError, match=r"ending in one of .*png"):
        check_picture(tmp_path / "a.docx")
