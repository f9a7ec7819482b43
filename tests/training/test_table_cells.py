"""What must not be mixed."""

from __future__ import annotations

import pytest
from records_of import records_of

from grandpp.training.table_cells import collect_cells

A, B = records_of("a", [0.5, 0.6, 0.7]), records_of("b", [0.4, 0.5, 0.6])


def with_gain(hash_, gain, splits=3):
    config = {"source_gain": gain, "time": 2}
    return records_of("a", [gain] * splits, config_hash=hash_, config=config)


def test_records_are_sorted_into_cells():
    (cell,) = collect_cells([*reversed(A), *B])
    assert (cell.dataset, cell.labels_per_class, cell.protocol) == ("Cora", 1, "grand")
    found = [r.accuracies for r in cell.runs["a"]]
    assert found == [(v, v / 2, v, None) for v in (0.5, 0.6, 0.7)]  # no run looked for a best time
    two = collect_cells([*A, *records_of("a", [0.5], dataset="PubMed")])
    assert [c.dataset for c in two] == ["Cora", "PubMed"]


def test_splits_that_differ_are_refused():
    other = [dict(r, split_digest="x") if r["split"] == 2 else r for r in B]
    with pytest.raises(ValueError, match=r"identical splits .* \(split 2 of a is not that of b\)"):
        collect_cells([*A, *other])
    failed = [dict(r, test_accuracy=None) for r in other]
    with pytest.raises(ValueError, match="identical splits"):
        collect_cells([*A, *failed])


def test_two_configurations_of_a_model_are_refused_by_name_and_difference():
    records = [*with_gain("h1", 0.1), *with_gain("h2", 0.2)]
    with pytest.raises(ValueError, match=r"got h1, h2, which differ in source_gain: 0.1, 0.2\)"):
        collect_cells(records)
    (cell,) = collect_cells([*records, *B], configs=["h2"])
    assert {r.accuracies[0] for r in cell.runs["a"]} == {0.2}
    assert len(cell.runs["b"]) == 3


def test_two_configurations_on_different_splits_need_both_names():
    parts = [*with_gain("h1", 0.1)[:2], *with_gain("h2", 0.2)[2:]]
    with pytest.raises(ValueError, match="one configuration"):
        collect_cells(parts)
    (cell,) = collect_cells(parts, configs=["h1", "h2"])
    assert [r.config_hash for r in cell.runs["a"]] == ["h1", "h1", "h2"]
    with pytest.raises(ValueError, match=r"one result per run .* h1 and h2"):
        collect_cells([*parts, *with_gain("h2", 0.2)], configs=["h1", "h2"])


def test_a_run_in_two_files_counts_once_and_one_with_two_results_not_at_all():
    (cell,) = collect_cells([*A, *A])
    assert len(cell.runs["a"]) == 3
    with pytest.raises(ValueError, match=r"got test accuracies 0.5 and 0.9 for split 0, seed 0"):
        collect_cells([*A, dict(A[0], test_accuracy=0.9)])


def test_two_protocols_in_a_cell_are_refused_until_one_is_chosen():
    records = [*A, *records_of("b", [0.4], protocol="no_val")]
    with pytest.raises(ValueError, match="grand, no_val"):
        collect_cells(records)
    (cell,) = collect_cells(records, protocol="no_val")
    assert list(cell.runs) == ["b"]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"labels": [1, 3]}, "labels_per_class 3 .found 1"),
        ({"datasets": ["Corra"]}, "dataset Corra .found Cora"),
        ({"models": ["gcn"]}, "model gcn .found a, b"),
        ({"protocol": "no_val"}, "protocol no_val .found grand"),
        ({"configs": ["abc"]}, "config_hash abc"),
    ],
)
def test_what_is_in_no_record_is_refused_by_name(choice, words):
    with pytest.raises(ValueError, match=words):
        collect_cells([*A, *B], **choice)


def test_conditions_that_nothing_meets_together_are_refused():
    records = [*A, *records_of("b", [0.4], labels=2)]
    with pytest.raises(ValueError, match="match all filters"):
        collect_cells(records, models=["a"], labels=[2])
