"""Published records keep the hash of their settings, so that they resume and compare."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training import load_records
from grandpp.training.packing import unpack_records
from grandpp.training.settings import hash_choices

ROOT = Path(__file__).parents[3]
PINNED = json.loads((Path(__file__).parent / "config_hashes.json").read_text())
FILES = sorted((ROOT / "results").glob("table-*.jsonl.gz"))
NAMES = ("dataset", "model", "labels_per_class", "protocol")


def run_of(config):
    """The run whose settings a record tells, made anew."""
    settings = {k: v for k, v in config.items() if k not in (*NAMES, "epochs")}
    epochs = config["epochs"] or None
    return tuned_run(**{name: config[name] for name in NAMES}, epochs=epochs, **settings)


def test_every_published_table_is_pinned():
    assert {path.name for path in FILES} == set(PINNED)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_the_settings_of_published_records_give_their_hash(path):
    for config_hash, group in PINNED[path.name].items():
        assert run_of(group["config"]).on(3, 1).config_hash == config_hash
        assert hash_choices(group["config"]) == config_hash
        told = {k: v for k, v in run_of(group["config"]).choices().items() if v is not None}
        assert told == group["config"] | {"split": 0, "seed": 0}
    records = list(unpack_records(load_records([path])))
    found = Counter(record["config_hash"] for record in records)
    assert found == {h: group["records"] for h, group in PINNED[path.name].items()}
    for record in records:
        assert hash_choices(record["config"]) == record["config_hash"], record["model"]
