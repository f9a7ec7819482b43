"""The benchmarks of sweeps and whole runs on the karate club; nothing is timed."""

from __future__ import annotations

import json

import psutil
import pytest
import torch

SMALL = ["--dataset", "KarateClub", "--labels-per-class", "2", "--protocol", "no_val", "--epochs",
         "2", "--json"]  # fmt: skip


@pytest.fixture
def programs(monkeypatch, load):
    load("common")
    loaded = {name: load(name) for name in ("throughput", "whole_run")}
    for module in loaded.values():
        monkeypatch.setattr(module, "keep_freed_memory", lambda: True)
    return loaded


def test_both_ways_are_measured_quiet_and_beside_loops_that_end(programs, capsys, monkeypatch):
    throughput, seen = programs["throughput"], []
    monkeypatch.setattr(throughput, "LEAST", 0.0)
    run_sweep = throughput.run_sweep

    def watched(*arguments, **options):
        seen.append((options.get("workers"), options.get("threads"), len(loops())))
        run_sweep(*arguments, **options)

    monkeypatch.setattr(throughput, "run_sweep", watched)
    threads = torch.get_num_threads()
    assert throughput.main([*SMALL, "--runs", "2", "--rounds", "1", "--loops", "1"]) == 0
    assert seen == [(1, threads, 0), (None, None, 0), (1, threads, 1), (None, None, 1)]
    assert not loops()
    assert torch.get_num_threads() == threads
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["work"], r["load"], r["way"]) for r in rows] == [
        (work, load, way)
        for work in ("2 runs", "1 epoch")
        for load in ("quiet", "1 busy loops")
        for way in ("all threads", "default")
    ]
    for r in rows:
        assert (r["gain"] == 1) == (r["way"] == "all threads")
        assert (r["vs_quiet"] == 1) == (r["load"] == "quiet")
        assert (r["runs_per_minute"] is None) == (r["work"] == "1 epoch")
    slow, fast = rows[:2]
    assert fast["gain"] == pytest.approx(slow["seconds"] / fast["seconds"])
    assert fast["runs_per_minute"] == pytest.approx(120 / fast["seconds"])


def loops():
    children = psutil.Process().children()
    return [c for c in children if any("getppid" in word for word in c.cmdline())]


def test_a_whole_run_is_what_node_classify_does(programs, capsys):
    threads = torch.get_num_threads()
    assert programs["whole_run"].main([*SMALL, "--model", "gcn", "mlp", "--rounds", "2"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["model"], r["split"]) for r in rows] == [
        ("gcn", 0), ("mlp", 0), ("gcn", 1), ("mlp", 1)]  # fmt: skip
    for r in rows:
        assert (r["epochs"], r["status"], r["threads"]) == (2, "success", 1)
        assert r["ms_per_epoch"] == pytest.approx(500 * r["seconds"])
    assert torch.get_num_threads() == threads


def test_a_gpu_has_no_threads_to_compare(programs, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(SystemExit) as stop:
        programs["throughput"].main([*SMALL, "--device", "cuda"])
    assert stop.value.code == 2
    assert "expected --device cpu" in capsys.readouterr().err
