"""Published records keep the hash of their settings, so that they resume and compare."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from grandpp.training import RunConfig, load_records
from grandpp.training.packing import unpack_records

ROOT = Path(__file__).parents[2]
PINNED = json.loads((Path(__file__).parent / "config_hashes.json").read_text())
FILES = sorted((ROOT / "results").glob("table-*.jsonl.gz"))


def published(path):
    return list(unpack_records(load_records([path])))


def config_of(record):
    """The configuration that a record tells; packed ones leave out what is ``None``."""
    return RunConfig(**{**record["config"], "split": record["split"], "seed": record["seed"]})


def test_every_published_table_is_pinned():
    assert {path.name for path in FILES} == set(PINNED)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_the_settings_of_published_records_give_their_hash(path):
    records = published(path)
    for config_hash, group in PINNED[path.name].items():
        config = RunConfig(**group["config"], split=3, seed=1)
        assert config.config_hash == config_hash
    found = Counter(record["config_hash"] for record in records)
    assert found == {h: group["records"] for h, group in PINNED[path.name].items()}
    for record in records:
        assert config_of(record).config_hash == record["config_hash"], record["model"]
