"""Files of a reproduction: found, merged, adopted, and never mixed up."""

from __future__ import annotations

import json

import pytest
from reproduced_of import reproduced_of

from grandpp.studies.thesis import (
    LAYOUTS,
    TableRequest,
    adopt,
    check_settings,
    file_of,
    merge,
    table_records,
)
from grandpp.studies.thesis.folder import packed_tables
from grandpp.training.packing import pack_records

FEW, DEPTH = LAYOUTS["4.3"], LAYOUTS["4.1"]


def write(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def test_names_of_files_say_table_and_protocol(tmp_path):
    assert file_of(tmp_path, "4.3", "grand", ".csv").name == "table-4.3.csv"
    assert file_of(tmp_path, "4.3", "no_val", ".csv").name == "table-4.3-no_val.csv"
    for table, protocol in (("4.10", "grand"), ("4.3", "no_val"), ("4.3", "grand")):
        file_of(tmp_path, table, protocol, ".jsonl.gz").touch()
    assert packed_tables(tmp_path) == [("4.3", "grand"), ("4.3", "no_val"), ("4.10", "grand")]


def test_raw_and_packed_records_are_one_table(tmp_path):
    records = reproduced_of("gcn", [0.5, 0.6, 0.7])
    file_of(tmp_path, "4.3", "grand", ".jsonl.gz").write_bytes(pack_records(records[:2]))
    write(file_of(tmp_path, "4.3", "grand", ".jsonl"), records[1:])
    found = table_records(tmp_path, "4.3", "grand")
    assert sorted(r["split"] for r in found) == [0, 1, 2]
    assert all(r["config"]["hidden"] == 64 for r in found)
    assert table_records(tmp_path, "4.3", "no_val") == []


def test_two_results_of_one_run_are_refused():
    first, other = reproduced_of("gcn", [0.5]), reproduced_of("gcn", [0.6])
    with pytest.raises(ValueError, match=r"one result per run \(got test_accuracy 0.5 and 0.6"):
        merge(first, other)
    assert merge(first, first) == first


def test_only_wanted_runs_are_adopted(tmp_path):
    configs = TableRequest(FEW, ["Cora"], FEW.choose(["gcn"]), labels=[1], splits=2).runs()
    path = write(tmp_path / "a.jsonl", [
        *reproduced_of("gcn", [0.5, 0.6, 0.7]), *reproduced_of("mlp", [0.5]),
        *reproduced_of("gcn", [0.5], epochs=3), *reproduced_of("gcn", [0.5], labels=2),
        *reproduced_of("gcn", [0.5], protocol="no_val"),
    ])  # fmt: skip
    found = adopt([path], configs)
    assert [(r["split"], r["test_accuracy"]) for r in found] == [(0, 0.5), (1, 0.6)]


def test_a_run_with_the_same_choices_and_an_earlier_hash_is_adopted(tmp_path):
    configs = TableRequest(FEW, ["Cora"], FEW.choose(["gcn"]), labels=[1], splits=1).runs()
    path = write(tmp_path / "a.jsonl", reproduced_of("gcn", [0.5], config_hash="0123456789ab"))
    (found,) = adopt([path], configs)
    assert found["config_hash"] == configs[0].config_hash
    other = reproduced_of("gcn", [0.5], config_hash="0123456789ab")
    other[0]["config"]["lr"] = 0.5
    assert adopt([write(path, other)], configs) == []


def test_other_settings_in_one_cell_are_refused_before_anything_runs():
    records = reproduced_of("gcn", [0.5], epochs=3)
    configs = TableRequest(FEW, ["Cora"], FEW.choose(["gcn"]), labels=[1]).runs()
    with pytest.raises(ValueError, match=r"one configuration of gcn on Cora with 1 label.*another"):
        check_settings(FEW, records, configs)
    check_settings(FEW, records, [c for c in configs if c.labels_per_class == 2])
    check_settings(FEW, reproduced_of("gcn", [0.5]), configs)


def test_two_depths_are_two_cells_and_not_two_settings():
    records = [r for t in (1.0, 4.0) for r in reproduced_of("grand-l", [0.5], labels=20, depth=t)]
    check_settings(DEPTH, records)
    with pytest.raises(ValueError, match="one configuration of grand-l"):
        check_settings(FEW, records)
