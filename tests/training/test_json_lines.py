"""JSON without NaN, and older files that have some."""

from __future__ import annotations

import json
import math

import pytest

from grandpp.training.json_lines import from_json, to_json
from grandpp.training.record_file import RecordFormat, read_file


def test_numbers_that_json_lacks_are_null_at_any_depth_and_the_record_stays_as_it_is():
    record = {"b": math.nan, "a": [1.5, {"c": -math.inf, "d": (math.inf, "NaN", 3)}], "e": None}
    line = to_json(record)
    assert line == '{"a": [1.5, {"c": null, "d": [null, "NaN", 3]}], "b": null, "e": null}'
    assert math.isnan(record["b"])
    assert record["a"][1]["d"] == (math.inf, "NaN", 3)


def test_nan_of_older_files_is_none_and_words_stay_words():
    old = json.dumps({"a": math.nan, "b": [-math.inf, "NaN"], "c": 0.5})
    assert from_json(old) == {"a": None, "b": [None, "NaN"], "c": 0.5}
    with pytest.raises(ValueError, match="Expecting"):
        from_json("{nan}")


def test_what_an_epoch_measured_is_a_number_again(tmp_path):
    path = tmp_path / "runs.jsonl"
    run = {"seed": 1, "history": [{"epoch": 1, "loss": math.nan}, {"epoch": 2, "loss": 0.5}]}
    path.write_text(to_json(run) + "\n" + json.dumps(run | {"seed": 2}) + "\n")
    for found in read_file(path, RecordFormat(("seed",))):
        assert math.isnan(found["history"][0]["loss"])
        assert found["history"][1] == {"epoch": 2, "loss": 0.5}
