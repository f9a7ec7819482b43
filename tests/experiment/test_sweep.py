"""Sweeps: several runs at once give what one after the other gives."""

from __future__ import annotations

import pytest
import torch

from grandpp.data import load_dataset, low_label_splits
from grandpp.experiment import read_records, run_sweep, tuned_config, with_run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def runs():
    data = load_dataset("sbm")
    config = tuned_config("sbm", "grand-l", 2, epochs=2)
    return [
        (with_run(config, s, 0), split)
        for s, split in enumerate(low_label_splits(data, 2, range(3)))
    ]


def strip(record):
    return {k: v for k, v in record.items() if k not in ("seconds", "peak_memory_mb")}


def by_split(record):
    return record["split"]


def test_two_jobs_write_the_records_of_one(runs, tmp_path):
    collected = {}
    for jobs in (1, 2):
        records = []
        out = tmp_path / f"{jobs}.jsonl"
        run_sweep(runs, CPU, records.append, out=out, progress=False, jobs=jobs)
        records.sort(key=by_split)
        assert sorted(read_records(out), key=by_split) == records
        collected[jobs] = [strip(r) for r in records]
    assert len(collected[1]) == 3
    assert collected[1] == collected[2]


def test_finished_runs_are_not_repeated_by_several_jobs(runs, tmp_path):
    out, first, again = tmp_path / "runs.jsonl", [], []
    run_sweep(runs[:2], CPU, first.append, out=out, progress=False, jobs=2)
    lines = out.read_text()
    run_sweep(runs[:2], CPU, again.append, out=out, progress=False, jobs=2)
    assert out.read_text() == lines
    assert len(again) == 2


def test_several_jobs_on_a_gpu_are_refused(runs):
    with pytest.raises(ValueError, match="jobs=1 on a GPU"):
        run_sweep(runs, torch.device("cuda"), print, jobs=2)
