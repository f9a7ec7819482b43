"""Tables and pictures of image classifiers."""

from __future__ import annotations

import matplotlib.image
import pytest
from image_records_of import record
from matplotlib.figure import Figure

from grandpp.studies.images.report import (
    draw_tolerances,
    draw_training,
    efficacy,
    image_table,
    tolerance_table,
)


def cells(table: str) -> list[dict[str, str]]:
    """Rows by their heads; columns are at least two blanks apart."""
    head, *rows = [[c.strip() for c in line.split("  ") if c] for line in table.splitlines()]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_efficacy_is_percent_per_evaluation_of_both_passes():
    assert efficacy(record(accuracy=0.9)["history"][-1]) == pytest.approx(90 / (26 + 34))


def test_means_are_over_runs_that_reached_the_end():
    runs = [record(accuracy=0.8), record(seed=1, accuracy=0.9), record(seed=2, status="stopped")]
    node, other = cells(image_table([*runs, record("hbnode", tolerance=1e-5)]))
    assert (node["model"], node["runs"], node["failed"], node["epochs"]) == ("node", "3", "1", "2")
    assert node["accuracy %"] == "85.00 +- 5.00"
    assert (node["nfe forward"], node["last forward"]) == ("23.0 +- 0.0", "26.0 +- 0.0")
    assert (node["nfe backward"], node["last backward"]) == ("32.0 +- 0.0", "34.0 +- 0.0")
    assert (node["efficacy"], node["s/epoch"], node["train loss"]) == ("1.42", "2.0", "0.5000")
    assert (other["tol"], other["accuracy %"]) == ("1e-05", "90.00")


def test_a_model_whose_runs_all_failed_has_dashes():
    (row,) = cells(image_table([record(status="stopped")]))
    assert row["failed"] == "1" and row["accuracy %"] == "-"


def test_evaluations_by_tolerance_are_means_over_runs():
    runs = [record(seed=seed, tolerances=(1e-3, 1e-4)) for seed in (0, 1)]
    coarse, fine = cells(tolerance_table(runs))
    assert (coarse["trained at"], coarse["solved at"]) == ("0.001", "0.001")
    assert (coarse["nfe forward"], fine["nfe forward"]) == ("20.5 +- 0.5", "40.5 +- 0.5")
    assert (fine["nfe backward"], fine["runs"], fine["accuracy %"]) == ("80.0 +- 0.0", "2", "90.00")
    assert tolerance_table([record()]) == ""


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
