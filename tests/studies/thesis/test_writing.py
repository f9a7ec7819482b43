"""What is written: all four files, the same bytes again, whole or not at all."""

from __future__ import annotations

import os
import random

import pytest
from reproduced_of import around, reproduced_of

from grandpp.studies.thesis import LAYOUTS, table_records, write_results

FEW = LAYOUTS["4.3"]
RECORDS = [*reproduced_of("grand-l", around(0.65)), *reproduced_of("poisson", around(0.6))]


def contents(folder):
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}


def test_all_files_are_there_and_the_same_again(tmp_path):
    first, second = tmp_path / "a" / "results", tmp_path / "b" / "results"
    write_results(first, FEW, RECORDS)
    shuffled = random.Random(1).sample(RECORDS, len(RECORDS))
    write_results(second, FEW, shuffled)
    own = contents(first)
    assert list(own) == ["RESULTS.md", "table-4.3.csv", "table-4.3.jsonl.gz", "table-4.3.png"]
    page = own["RESULTS.md"].decode().replace(str(first), str(second))
    assert {**own, "RESULTS.md": page.encode()} == contents(second)
    write_results(first, FEW, table_records(first, "4.3", "grand"))
    assert contents(first) == own


def test_nothing_is_written_without_records(tmp_path):
    with pytest.raises(ValueError, match="got none"):
        write_results(tmp_path / "results", FEW, [])
    assert os.listdir(tmp_path) == []
