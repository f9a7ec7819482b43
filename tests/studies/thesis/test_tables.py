"""Tables and values as they are printed."""

from __future__ import annotations

import csv

import pytest
from reproduced_of import around, reproduced_of

from grandpp.studies.thesis import (
    LAYOUTS,
    accuracy_tables,
    as_csv,
    counts,
    paired_table,
    t_test_table,
)
from grandpp.studies.thesis.reproduced_cells import reproduce
from grandpp.studies.thesis.tables import has_t_tests

FEW, DEPTH = LAYOUTS["4.3"], LAYOUTS["4.1"]
LOWER = [0.50, 0.52, 0.61, 0.40, 0.55]
HIGHER = [0.53, 0.56, 0.63, 0.45, 0.57]


@pytest.fixture(scope="module")
def result():
    return reproduce(FEW, [
        *reproduced_of("grand-l", LOWER), *reproduced_of("grand++-l", HIGHER),
        *reproduced_of("gcn", [0.9, 0.89, 0.91, None]),
        *reproduced_of("poisson", [0.5], dataset="sbm"),
    ])  # fmt: skip


def row_of(text, *words):
    (line,) = [line for line in text.splitlines() if line.split()[: len(words)] == list(words)]
    return line


def test_a_row_has_theirs_ours_and_the_verdict(result):
    text = accuracy_tables(result)
    assert text.index("Cora, test") < text.index("sbm, test")
    line = row_of(text, "grand++-l", "1")
    assert "54.94 +- 16.09  54.80 +- 6.57" in line
    assert "n.s. (p = " in line
    assert line.endswith("27.40 +- 3.29")
    line = row_of(text, "gcn", "1")
    assert "90.00 +- 1.00" in line
    assert "3 (1 failed)" in line
    assert "not run" in row_of(text, "gcn", "20")
    line = row_of(text, "poisson")
    assert line.split()[3] == "50.00"  # one split has no deviation
    assert "not in the thesis" in line


def test_rows_are_chosen_and_nothing_is_recomputed(result):
    text = accuracy_tables(result, datasets=["Cora"], models=["gcn"])
    assert "sbm" not in text
    assert "grand" not in text
    assert "3 (1 failed)" in text
    assert "p < 0.001" in text


def test_the_counts_add_up(result):
    assert counts(result) == (
        "Of 3 cells tested, 1 are better than in the thesis, 0 worse and 2 not significantly "
        "different (n.s.); "
        "not run: 12; not in the thesis: 1."
    )


def test_a_table_without_tested_cells_says_so():
    few = reproduce(FEW, reproduced_of("poisson", around(0.5)))
    assert counts(few) == "No cell is tested against the thesis; not in the thesis: 1."


def test_na_is_shown_and_counted():
    records = [r for t in (64.0, 128.0)
               for r in reproduced_of("grand-l", around(0.7), dataset="CiteSeer", labels=20,
                                      depth=t)]  # fmt: skip
    result = reproduce(DEPTH, records)
    line = row_of(accuracy_tables(result), "grand-l", "128")
    assert "NA" in line
    assert "filled: NA in the thesis" in line
    assert "of 2 cells that are NA in the thesis 1 are filled" in counts(result)


def test_pairs_by_hand(result):
    # Differences 3, 4, 2, 5, 2 points: mean 3.2, s^2 = 1.7; half of that after the last epoch.
    line = row_of(paired_table(result), "Cora", "1", "grand++-l")
    assert "5      +3.20 [+1.58, +4.82]" in line
    assert "+2.45" in line
    assert "+1.60 [+0.79, +2.41]" in line
    assert "**better (p = " in paired_table(result, "markdown")


def test_the_thesiss_t_tests_stand_beside_ours(result):
    assert has_t_tests("4.5", result)
    line = row_of(t_test_table("4.5", result), "Cora", "1")
    assert "1.06 +- 6.24        1.80                3.20 +- 1.30      5            5.49 (p " in line
    line = row_of(t_test_table("4.4", result), "Cora", "1")
    assert line.split()[2] == "1.05"
    assert not has_t_tests("4.5", reproduce(FEW, reproduced_of("gcn", LOWER)))


def test_the_csv_has_every_number(result):
    rows = list(csv.DictReader(as_csv(result).splitlines()))
    assert len(rows) == len(result.cells)
    (own,) = [r for r in rows if (r["model"], r["labels"]) == ("grand++-l", "1")]
    assert float(own["mean"]) == pytest.approx(0.548)
    assert float(own["thesis_mean"]) == 0.5494
    assert float(own["difference"]) == pytest.approx(0.548 - 0.5494)
    assert float(own["paired_best_difference"]) == pytest.approx(0.032)
    assert float(own["paired_last_high"]) == pytest.approx(0.0241, abs=1e-4)
    assert own["outcome"] == "n.s."
    (missing,) = [r for r in rows if (r["model"], r["labels"]) == ("gcn", "20")]
    assert (missing["mean"], missing["outcome"]) == ("", "not run")
