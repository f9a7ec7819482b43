"""The picture: whole, labelled, in the files it can be."""

from __future__ import annotations

import os

import pytest
from matplotlib.figure import Figure
from records_of import records_of

from grandpp.studies.low_label import comparison_figures as figures
from grandpp.studies.low_label.comparison import compare
from grandpp.training.figures import line_styles


def rows(metric="test_accuracy"):
    records = []
    for k, gap in ((1, 0.04), (5, 0.01)):
        base = [0.4, 0.5, 0.6, 0.45, 0.5]
        noise = [0.03, -0.03, 0.0, 0.02, -0.02]
        records += records_of("b", base, labels=k)
        records += records_of("a", [v + gap for v in base], labels=k, seed=1)
        records += records_of("a", [v + gap + e / 9 for v, e in zip(base, noise, strict=True)],
                              labels=k)  # fmt: skip
        records += records_of("c", [v + e for v, e in zip(base, noise, strict=True)], labels=k)
    records += records_of("b", [0.4], labels=20)
    records += records_of("d", [None], labels=20)
    return compare(records, "b", metric=metric)


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


def test_axes_legend_and_intervals_are_there(drawn, tmp_path):
    path = tmp_path / "a.png"
    figures.draw_accuracy_against_labels(rows("last_test_accuracy"), path)
    left, right = drawn[0].axes
    assert left.get_xlabel() == right.get_xlabel() == "labelled nodes per class"
    assert left.get_ylabel() == "test accuracy, last epoch (%)"
    assert right.get_ylabel() == "difference to b (points)"
    assert [t.get_text() for t in left.get_xticklabels()] == ["1", "5", "20"]
    assert [t.get_text() for t in drawn[0].legends[0].get_texts()] == ["b", "a", "c"]
    assert path.read_bytes().startswith(b"\x89PNG")


def test_lines_and_bars_are_means_and_intervals_in_percent(drawn, tmp_path):
    own = rows()
    figures.draw_accuracy_against_labels(own, tmp_path / "a.png")
    left, right = drawn[0].axes
    first = left.containers[0]
    means = [100 * r.mean for r in own if r.model == "b"]
    assert first.lines[0].get_ydata() == pytest.approx(means)
    bar = first.lines[2][0].get_segments()[0]
    assert (bar[1] - bar[0])[1] / 2 == pytest.approx(100 * own[0].half_width)
    compared = [r for name in ("a", "c") for r in own if r.model == name]
    for row, container in zip(compared, right.containers, strict=True):
        bar = container.lines[2][0].get_segments()[0]
        assert bar[:, 1] == pytest.approx([100 * row.low, 100 * row.high])
        filled = container.lines[0].get_markerfacecolor() != "white"
        assert filled == row.significant
    assert {r.significant for r in compared} == {True, False}


def test_a_picture_that_fails_leaves_the_old_one(monkeypatch, tmp_path):
    path = tmp_path / "a.png"
    path.write_text("old")

    def full(handle):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        figures.draw_accuracy_against_labels(rows(), path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.png"]


def test_nothing_to_draw_or_no_such_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got none"):
        figures.draw_accuracy_against_labels([], tmp_path / "a.png")
    with pytest.raises(ValueError, match="ending"):
        figures.draw_accuracy_against_labels(rows(), tmp_path / "a.xyz")


def test_sixteen_models_have_sixteen_styles():
    styles = [next(iterator) for iterator in [line_styles()] for _ in range(16)]
    assert len({(s["color"], s["marker"], s["linestyle"]) for s in styles}) == 16
    same = [(a, b) for a in styles for b in styles if a is not b and a["color"] == b["color"]]
    assert all(a["marker"] != b["marker"] and a["linestyle"] != b["linestyle"] for a, b in same)
