"""What the table at the end of a sweep says."""

from __future__ import annotations

import re

import pytest

from grandpp.studies.low_label import accuracy_table


def record(model, split, accuracy, **changes):
    return {
        "model": model,
        "split": split,
        "seed": 0,
        "test_accuracy": accuracy,
        "last_test_accuracy": None if accuracy is None else accuracy - 0.1,
        "val_accuracy": accuracy,
        "nfe_forward": 12.0,
        "seconds": 3.0,
        "split_digest": f"digest{split}",
        **changes,
    }


def cells(table):
    """Rows of the table by model; columns are two spaces apart."""
    head, rule, *rows = table.splitlines()
    assert set(rule) == {"-", " "}
    names = re.split(r"  +", head)
    return {r.split()[0]: dict(zip(names, re.split(r"  +", r), strict=False)) for r in rows}


def test_every_column_says_what_its_head_promises():
    rows = [record("grand-l", s, a) for s, a in enumerate([0.5, 0.7])]
    rows += [record("gcn", s, a, nfe_forward=None) for s, a in enumerate([0.4, 0.5])]
    table = cells(accuracy_table(rows))
    grand, gcn = table["grand-l"], table["gcn"]
    assert list(table) == ["grand-l", "gcn"]
    assert (grand["runs"], grand["test accuracy"]) == ("2", "60.00 +- 14.14 %")
    assert (grand["last epoch"], grand["validation"]) == ("50.00 %", "60.00 %")
    assert (grand["NFE/forward"], grand["s/run"]) == ("12.0", "3.0")
    assert grand["paired diff. to grand-l"] == "-"
    assert gcn["NFE/forward"] == "-"
    # Differences of -0.1 and -0.2: mean -0.15, t(0.975, 1) 12.706 / sqrt(2) times 0.0707.
    assert gcn["paired diff. to grand-l"] == "-15.00 +- 63.53 (p = 0.2)"


def test_the_best_time_has_a_column_where_some_runs_looked_for_it():
    rows = [record("grand-l", 0, 0.5, best_time=3.0, best_time_test_accuracy=0.75),
            record("grand-l", 1, 0.7, best_time=6.0, best_time_test_accuracy=0.875),
            record("gcn", 0, 0.4, best_time=None, best_time_test_accuracy=None)]  # fmt: skip
    table = cells(accuracy_table(rows))
    assert [row["at best time"] for row in table.values()] == ["81.25 %", "-"]
    assert [row["last epoch"] for row in table.values()] == ["50.00 %", "30.00 %"]
    assert "at best time" not in accuracy_table([record("gcn", 0, 0.4)])
    with pytest.raises(ValueError, match="expected records"):
        accuracy_table([])


def test_failed_runs_are_counted_apart_and_a_model_that_always_failed_has_no_accuracy():
    rows = [record("grand-l", 0, 0.5), record("grand-l", 1, None), record("grand-nl", 0, None)]
    table = cells(accuracy_table(rows))
    assert table["grand-l"]["runs"] == "1 (1 failed)"
    assert table["grand-l"]["test accuracy"] == "50.00 +- 0.00 %"
    failed = table["grand-nl"]
    assert failed["runs"] == "0 (1 failed)"
    assert {failed[k] for k in failed if k not in ("model", "runs")} == {"-"}


def test_one_common_split_has_a_difference_and_no_interval():
    rows = [record("grand-l", 0, 0.5), record("gcn", 0, 0.75)]
    assert cells(accuracy_table(rows))["gcn"]["paired diff. to grand-l"] == "+25.00"
    other = cells(accuracy_table(rows, baseline="mlp"))
    assert {row["paired diff. to mlp"] for row in other.values()} == {"-"}


def test_nodes_chosen_by_coverage_have_columns_of_their_own():
    rows = [record("grand-l", s, a) for s, a in enumerate([0.5, 0.7])]
    assert "coverage" not in accuracy_table(rows)
    chosen = {"labels_chosen": "coverage", "split_digest": "other"}
    rows += [record("grand-l", s, 0.8, classes_met=m, **chosen) for s, m in enumerate((3, 4))]
    rows += [record("gcn", s, a) for s, a in enumerate([0.4, 0.5])]
    table = cells(accuracy_table(rows))
    assert table["grand-l"]["test accuracy"] == "60.00 +- 14.14 %"
    assert table["grand-l"]["runs"] == "2"
    assert table["grand-l"]["nodes chosen by coverage"] == "80.00 +- 0.00 %"
    assert table["grand-l"]["classes met"] == "3.5"
    assert table["gcn"]["nodes chosen by coverage"] == "-"
    assert table["gcn"]["paired diff. to grand-l"].startswith("-15.00")
