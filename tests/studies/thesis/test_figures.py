"""The picture: ours as lines, the thesis's hollow, the same bytes again."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from reproduced_of import around, reproduced_of

from grandpp.studies.thesis import LAYOUTS, draw_reproduction
from grandpp.studies.thesis.reproduced_cells import reproduce


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    saved = []
    original = Figure.savefig

    def savefig(self, *args, **kwargs):
        saved.append(self)
        original(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return saved


def result():
    records = []
    for k, gap in ((1, 0.03), (5, 0.0)):
        noise = [0.01, -0.01, 0.005, -0.005]
        records += reproduced_of("grand-l", [0.5, 0.6, 0.5, 0.6], labels=k)
        values = [v + gap + e for v, e in zip([0.5, 0.6, 0.5, 0.6], noise, strict=True)]
        records += reproduced_of("grand++-l", values, labels=k)
    return reproduce(LAYOUTS["4.3"], [*records, *reproduced_of("poisson", around(0.5))])


def test_lines_are_ours_and_hollow_markers_the_thesiss(drawn, tmp_path):
    own = result()
    draw_reproduction(own, tmp_path / "a.png")
    left, right = drawn[0].axes
    containers = left.containers
    # grand++-l, its thesis, grand-l, its thesis, poisson, of which the thesis has nothing
    assert len(containers) == 5
    assert containers[0].lines[0].get_ydata() == pytest.approx([58, 55])
    assert containers[1].lines[0].get_ydata() == pytest.approx([54.94, 77.80])
    assert containers[1].lines[0].get_markerfacecolor() == "white"
    bar = containers[1].lines[2][0].get_segments()[0]
    # t quantile 1.984 for 99 degrees of freedom, from a printed table.
    assert (bar[1] - bar[0])[1] / 2 == pytest.approx(1.984 * 16.09 / 10, rel=1e-3)
    for paired, container in zip(own.paired, [right.containers[0], right.containers[2]],
                                 strict=False):  # fmt: skip
        assert container.lines[0].get_ydata() == pytest.approx([100 * paired.best.difference])
    labels = [t.get_text() for t in drawn[0].legends[0].get_texts()]
    assert labels == ["grand++-l", "grand-l", "poisson"]
    assert [t.get_text() for t in left.get_xticklabels()] == ["1", "5"]


def test_without_pairs_there_is_no_panel_of_differences(drawn, tmp_path):
    alone = reproduced_of("poisson", around(0.5))
    draw_reproduction(reproduce(LAYOUTS["4.3"], alone), tmp_path / "a.png")
    (axes,) = drawn[0].axes
    assert axes.get_title() == "Cora: ours (lines)"
    assert "on the right" not in drawn[0].get_suptitle()


def test_the_same_records_give_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        draw_reproduction(result(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(ValueError, match="ending"):
        draw_reproduction(result(), tmp_path / "a.xyz")


def test_data_sets_with_one_number_of_labels_share_a_panel(drawn, tmp_path):
    records = []
    for dataset, value in (("Cora", 0.5), ("CiteSeer", 0.4), ("Photo", 0.7)):
        records += reproduced_of("grand-l", around(value), dataset=dataset)
        records += reproduced_of("grand++-l", around(value + 0.1), dataset=dataset)
    draw_reproduction(reproduce(LAYOUTS["4.3"], records), tmp_path / "a.png")
    left, right = drawn[0].axes
    assert [t.get_text() for t in left.get_xticklabels()] == ["Cora", "CiteSeer", "Photo"]
    assert left.get_xlabel() == right.get_xlabel() == "data set"
    assert left.get_title().startswith("labelled nodes per class = 1: ours (filled)")
    ours = left.containers[2].lines[0]  # behind grand++-l and its thesis
    assert ours.get_ydata() == pytest.approx([50, 40, 70])
    assert ours.get_linestyle() == "None"
    assert list(ours.get_xdata()) == pytest.approx([0, 1, 2], abs=0.5)


def test_a_data_set_with_several_numbers_of_labels_keeps_its_panel_beside_them(drawn, tmp_path):
    records = [r for name in ("CiteSeer", "Photo") for r in
               reproduced_of("poisson", around(0.5), dataset=name)]  # fmt: skip
    for k in (1, 5):
        records += reproduced_of("poisson", around(0.5), labels=k)
    draw_reproduction(reproduce(LAYOUTS["4.3"], records), tmp_path / "a.png")
    axes = drawn[0].axes
    ticks = [[t.get_text() for t in each.get_xticklabels()] for each in axes]
    assert ticks == [["CiteSeer", "Photo"], ["1", "5"]]
    # The lines of the second panel are in the legend too.
    (handle,) = (h for h in drawn[0].legends[0].legend_handles if "poisson" in h.get_label())
    assert handle.get_linestyle() != "None"


def test_wide_intervals_do_not_stretch_the_axis_beyond_what_is_possible(drawn, tmp_path):
    records = reproduced_of("poisson", [0.4, 0.9], labels=1) + reproduced_of(
        "poisson", [0.8, 0.81], labels=5
    )
    draw_reproduction(reproduce(LAYOUTS["4.3"], records), tmp_path / "a.png")
    assert drawn[0].axes[0].get_ylim() == (0, 100)


def test_a_line_does_not_cross_a_place_without_runs(drawn, tmp_path):
    records = [r for k in (1, 2, 5, 10) for r in reproduced_of("grand-l", around(0.6), labels=k)]
    records += [r for k in (2, 10) for r in reproduced_of("gcn", around(0.5), labels=k)]
    draw_reproduction(reproduce(LAYOUTS["4.3"], records), tmp_path / "a.png")
    lines = [c.lines[0] for c in drawn[0].axes[0].containers]
    values = [np.asarray(line.get_ydata(), dtype=float) for line in lines]
    (gcn,) = [n for n, y in enumerate(values) if np.isnan(y).any()]
    assert np.round(np.asarray(lines[gcn].get_xdata(), dtype=float)).tolist() == [1, 2, 3]
    assert values[gcn][[0, 2]] == pytest.approx([50, 50], abs=1)
    assert np.isnan(values[gcn]).tolist() == [False, True, False]
