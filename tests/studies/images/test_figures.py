"""Pictures of image classifiers."""

from __future__ import annotations

import matplotlib.image
import pytest
from image_records_of import record
from matplotlib.figure import Figure

from grandpp.studies.images.figures import draw_tolerances, draw_training


@pytest.fixture
def figures(monkeypatch):
    """Figures that were saved."""
    saved = []
    save = Figure.savefig

    def spy(figure, *args, **kwargs):
        saved.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", spy)
    return saved


def test_every_epoch_of_every_model_is_drawn(tmp_path, figures):
    runs = [record("hbnode"), record("node", accuracy=0.8), record("node", 1, accuracy=0.6)]
    draw_training([*runs, record("anode", status="stopped")], tmp_path / "p.png")
    panels = {axes.get_ylabel(): axes for axes in figures[0].axes}
    lines = {line.get_label(): line for line in panels["test accuracy %"].lines}
    assert list(lines) == ["NODE", "ANODE", "HBNODE"]
    assert lines["NODE"].get_ydata().tolist() == pytest.approx([35, 70])
    assert len(lines["ANODE"].get_xdata()) == 1
    forward = panels["evaluations per batch, forward"].lines[0]
    assert forward.get_ydata().tolist() == [20, 26]
    assert matplotlib.image.imread(tmp_path / "p.png").shape[0] > 500


def test_evaluations_are_drawn_against_the_tolerance(tmp_path, figures):
    runs = [record("node", seed, tolerances=(1e-3, 1e-4, 1e-5)) for seed in (0, 2)]
    draw_tolerances([*runs, record("hbnode")], tmp_path / "p.svg")
    left, middle, right = figures[0].axes
    (line,) = left.lines
    assert line.get_xdata().tolist() == [1e-3, 1e-4, 1e-5]
    assert line.get_ydata().tolist() == [21, 41, 81]
    assert middle.lines[0].get_ydata().tolist() == [40, 80, 160]
    assert right.lines[0].get_xdata().tolist() == [21, 41, 81]
    assert left.get_xlim()[0] > left.get_xlim()[1]


def test_nothing_to_draw_is_an_empty_picture(tmp_path):
    draw_training([record(status="stopped") | {"history": []}], tmp_path / "a.png")
    draw_tolerances([record()], tmp_path / "b.png")
    assert (tmp_path / "a.png").exists() and (tmp_path / "b.png").exists()
