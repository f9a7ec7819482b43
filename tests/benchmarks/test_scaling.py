"""The benchmark of growth on small graphs: both models at every point; nothing is timed."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def benchmark(monkeypatch, load):
    common = load("common")
    module = load("scaling")
    monkeypatch.setattr(module, "keep_freed_memory", lambda: True)
    monkeypatch.setitem(common.SIZES, "small", (200, 500, 3))
    monkeypatch.setitem(common.SIZES, "larger", (400, 1000, 3))
    points = [module.Point(name, 2.0, 8) for name in ("small", "larger")]
    monkeypatch.setattr(module, "AXES", {"edges": points})
    return module


def test_a_point_has_a_row_per_model_with_the_ratio_to_grand(benchmark, capsys):
    assert benchmark.main(["--axis", "edges", "--point", "1", "--rounds", "1"]) == 0
    grand, source = json.loads(capsys.readouterr().out)
    assert (grand["model"], source["model"]) == ("grand-l", "grand++-l")
    assert (grand["nodes"], grand["edges"]) == (source["nodes"], source["edges"]) == (400, 2000)
    assert grand["ratio"] == 1
    assert source["ratio"] == pytest.approx(source["ms"] / grand["ms"])
    assert 0 < grand["products"] <= source["products"]


def test_the_source_of_grandpp_is_one_node_in_a_hundred(benchmark):
    point = benchmark.AXES["edges"][1]
    edge_index, nodes = benchmark.load_point(point, benchmark.resolve_device("cpu"), None)
    step = benchmark.Step.make("grand++-l", point, edge_index, nodes)
    assert step.inputs[3].tolist() == [0, 100, 200, 300]
    assert step.conv.source.kind == "balanced"


def test_an_axis_has_a_slope_per_model_and_peaks_from_processes_of_their_own(
    benchmark, capsys, monkeypatch
):
    commands = []

    def in_own_process(program, command, what):
        """The same command in this process."""
        commands.append(command[1:])
        assert benchmark.main(command[1:]) == 0
        return json.loads(capsys.readouterr().out)

    monkeypatch.setattr(benchmark, "in_own_process", in_own_process)
    assert benchmark.main(["--axis", "edges", "--rounds", "1", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["model"], r["dataset"]) for r in rows] == [
        (model, name) for name in ("small", "larger") for model in benchmark.MODELS
    ]
    assert [r["slope"] is None for r in rows] == [True, True, False, False]
    assert all(r["peak_mib"] > 50 for r in rows)
    assert sum("--peak" in command for command in commands) == 4
