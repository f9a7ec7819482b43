"""The benchmark of an epoch on a small graph: which rows, and against what; nothing is timed."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import torch

from grandpp.data import low_label_split, sbm

HEADER = {"dataset", "model", "ms", "vs_grand-l", "vs_gcn", "faster_than_reference", "error"}


@pytest.fixture
def benchmark(monkeypatch, load):
    common = load("common")
    load("reference")
    module = load("epoch")
    monkeypatch.setattr(module, "keep_freed_memory", lambda: True)

    def graph(name, root=None):
        data = sbm(1600, 3400, num_classes=3, num_features=64, words_per_node=8)
        data.name = name
        return data

    def split(data, labels_per_class, seed):  # larger sets have larger pools
        return low_label_split(data, labels_per_class, seed=seed, num_development=1500)

    monkeypatch.setattr(module, "low_label_split", split)
    monkeypatch.setattr(module, "graph", graph)
    monkeypatch.setattr(module, "LEAST", 0.0)
    monkeypatch.setattr(common, "tqdm", lambda rounds, **options: rounds)
    return module


@dataclass
class Recorded:
    """What the benchmark trains, instead of training it."""

    epochs: list[tuple[str, str]]

    def contestant(self, name, data, labels_per_class):
        assert int(data.train_mask.sum()) == 3 * labels_per_class
        return lambda: self.epochs.append((data.name, name)), torch.nn.Identity()


def test_all_is_a_table_of_the_six_graphs_of_the_thesis(benchmark, capsys, monkeypatch, tmp_path):
    recorded, out = Recorded([]), tmp_path / "rows.jsonl"
    monkeypatch.setattr(benchmark, "contestant", recorded.contestant)
    monkeypatch.setattr(benchmark, "solution_errors", lambda models, data: {})
    assert benchmark.main(["--dataset", "ALL", "--json", "--rounds", "1", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    rows = [json.loads(line) for line in text.splitlines()]
    models = ["gcn-input-dropout", "reference", "grand-l", "grand++-l", "grand++-cluster-l",
              "grand-nl", "hb-l"]  # fmt: skip
    names = ["Cora", "CiteSeer", "PubMed", "CoauthorCS", "Computers", "Photo"]
    assert [(r["dataset"], r["model"]) for r in rows] == [(n, m) for n in names for m in models]
    assert all(r["labels_per_class"] == 5 for r in rows)
    assert out.read_text() == text
    assert recorded.epochs == [(n, m) for n in names for _ in range(2) for m in models]


def test_every_ratio_is_against_the_named_model_within_a_round(benchmark, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "contestant", Recorded([]).contestant)
    monkeypatch.setattr(benchmark, "solution_errors", lambda models, data: {})
    seconds = {"gcn-input-dropout": [4.0, 40.0], "reference": [20.0, 200.0],
               "grand-l": [1.0, 10.0]}  # fmt: skip
    monkeypatch.setattr(benchmark, "alternate", lambda *arguments, **options: seconds)
    assert benchmark.main(["--model", *seconds, "--json"]) == 0
    gcn, reference, grand = map(json.loads, capsys.readouterr().out.splitlines())
    assert (gcn["vs_grand-l"], gcn["vs_gcn"], gcn["faster_than_reference"]) == (4, 1, 5)
    assert (reference["vs_grand-l"], reference["vs_gcn"]) == (20, 5)
    assert (grand["vs_grand-l"], grand["vs_gcn"], grand["faster_than_reference"]) == (1, 0.25, 20)
    monkeypatch.setattr(benchmark, "alternate", lambda *arguments, **options: {"hb-l": [1.0, 1.0]})
    assert benchmark.main(["--model", "hb-l", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["vs_grand-l"] is row["vs_gcn"] is row["faster_than_reference"] is None


def test_models_train_as_the_experiments_train_them(benchmark):
    data = benchmark.low_label_split(benchmark.graph("sbm"), 2, seed=0)
    steps = {}
    for name in benchmark.MODELS:
        epoch, model = benchmark.contestant(name, data, 2)
        before = [p.detach().clone() for p in model.parameters()]
        epoch()
        after = list(model.parameters())
        steps[name] = any(not torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert all(steps.values())
    epoch, _ = benchmark.contestant("grand++-cluster-l", data, 2)
    targets = epoch.func.__self__.targets
    assert bool(targets.nodes.all())
    assert targets.weight is not None


# Between them they have every attention and normalisation of the tuned settings.
@pytest.mark.parametrize("name", ["Cora", "CiteSeer", "PubMed", "Computers", "Photo"])
def test_the_reference_solves_what_grand_solves(benchmark, capsys, name):
    arguments = ["--dataset", name, "--model", "grand-l", "reference", "--rounds", "1", "--json"]
    assert benchmark.main(arguments) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(set(row) >= HEADER and row["error"] < 1e-4 for row in rows)
    assert {row["labels_per_class"] for row in rows} == {20}


def test_the_peak_memory_of_a_model_is_measured_in_a_process_of_its_own(
    benchmark, capsys, monkeypatch
):
    commands = []

    def in_own_process(program, command, what):
        commands.append(command[1:])
        return 512.0

    monkeypatch.setattr(benchmark, "in_own_process", in_own_process)
    arguments = ["--dataset", "sbm", "--labels-per-class", "3", "--model", "hb-l"]
    assert benchmark.main([*arguments, "--rounds", "1", "--memory", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["peak_mib"] == 512
    [command] = commands
    assert benchmark.main(command) == 0
    assert json.loads(capsys.readouterr().out) > 50
