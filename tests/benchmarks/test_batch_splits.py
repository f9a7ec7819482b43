"""The benchmark of batches on a graph that is there without files; nothing is timed."""

from __future__ import annotations

import json

import pytest
import torch

SMALL = ["--dataset", "KarateClub", "--labels-per-class", "2", "--protocol", "no_val", "--runs",
         "3", "--epochs", "2", "--rounds", "1"]  # fmt: skip


@pytest.fixture
def benchmark(monkeypatch, load):
    load("common")
    module = load("batch_splits")
    monkeypatch.setattr(module, "keep_freed_memory", lambda: True)
    return module


def test_both_ways_do_the_same_runs(benchmark, capsys):
    threads = torch.get_num_threads()
    assert benchmark.main([*SMALL, "--json", "--threads", str(threads)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["way"], r["runs"], r["same_accuracies"]) for r in rows] == [
        ("single", 3, True),
        ("batch", 3, True),
    ]
    assert rows[0]["ratio"] == 1
    assert rows[1]["ratio"] == pytest.approx(
        rows[0]["seconds_per_run"] / rows[1]["seconds_per_run"]
    )
    assert {r["threads"] for r in rows} == {threads}


def test_other_accuracies_would_show(benchmark, capsys, monkeypatch):
    def perform_batch(configs, data, device):
        return [benchmark.record_run(c, data, device) | {"test_accuracy": -1.0} for c in configs]

    monkeypatch.setattr(benchmark, "record_batch", perform_batch)
    assert benchmark.main([*SMALL, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["same_accuracies"] for r in rows] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "gcn"], "'gcn'"),
        (["--dataset", "Corra"], "Corra"),
        (["--runs", "0"], "positive integer"),
        (["--threads", "-1"], "positive integer"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(benchmark, capsys, arguments, words):
    with pytest.raises(SystemExit) as stop:
        benchmark.main(arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err
