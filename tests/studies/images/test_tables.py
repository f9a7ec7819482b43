"""Tables of image classifiers."""

from __future__ import annotations

import pytest
from image_records_of import record

from grandpp.studies.images.tables import efficacy, image_table, tolerance_table


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
    assert node["accuracy %"] == "85.00 +- 7.07"
    assert (node["nfe forward"], node["last forward"]) == ("23.0", "26.0")
    assert (node["nfe backward"], node["last backward"]) == ("32.0", "34.0")
    assert (node["efficacy"], node["s/epoch"], node["train loss"]) == ("1.42", "2.0", "0.5000")
    assert (other["tol"], other["accuracy %"]) == ("1e-05", "90.00")


def test_a_model_whose_runs_all_failed_has_dashes():
    (row,) = cells(image_table([record(status="stopped")]))
    assert row["failed"] == "1" and row["accuracy %"] == "-"


def test_evaluations_by_tolerance_are_means_over_runs():
    runs = [record(seed=seed, tolerances=(1e-3, 1e-4)) for seed in (0, 1)]
    coarse, fine = cells(tolerance_table(runs))
    assert (coarse["trained at"], coarse["solved at"]) == ("0.001", "0.001")
    assert (coarse["nfe forward"], fine["nfe forward"]) == ("20.5", "40.5")
    assert (fine["nfe backward"], fine["runs"], fine["accuracy %"]) == ("80.0", "2", "90.00")
    assert tolerance_table([record()]) == ""
