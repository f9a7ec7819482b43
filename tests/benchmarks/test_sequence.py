"""The plain loop against the library, and the benchmark at a small size; nothing is timed."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from grandpp.sequence import plane_vibration_model

FOLDER = Path(__file__).parents[2] / "benchmarks"


def load(name, monkeypatch):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def benchmark(monkeypatch):
    for name in ("common", "ode_rnn_loop"):
        load(name, monkeypatch)
    module = load("sequence", monkeypatch)
    for name, value in (("BATCH", 4), ("STAMPS", 3), ("AHEAD", 2)):
        monkeypatch.setattr(module, name, value)
    return module


@pytest.mark.parametrize("kind", ["node", "sonode", "hbnode", "ghbnode"])
def test_the_plain_loop_computes_the_same(benchmark, kind):
    data = benchmark.windows(4, None).to(torch.float64)
    torch.manual_seed(0)
    model = plane_vibration_model(kind, window=3, rtol=1e-8, atol=1e-8).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 0.3
    x, times, horizon = data.x.transpose(0, 1), data.times.T, data.horizon.T
    loop = benchmark.Loop(model, 1e-8, adjoint=False)
    own = model(x, times, horizon=horizon)
    for found, exact in zip(
        loop(x, times, horizon), (own.outputs, own.reconstruction, own.forecast), strict=True
    ):
        torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-6)
    assert loop.motion.forward_nfe > 0


def test_the_benchmark_has_a_row_for_every_contestant(benchmark, capsys):
    assert benchmark.main(["--windows", "6", "--rounds", "1", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = [(row["gradient"], row["contestant"]) for row in rows]
    assert names == [(g, c) for g in ("direct", "adjoint") for c in ("loop", "ODERNN")]
    for row in rows:
        assert row["windows"] == 6 and row["seconds"] > 0
        assert row["backward_nfe"] > 0
        assert row["loss"] == pytest.approx(rows[0]["loss"], rel=1e-3)
    for loop, own in (rows[:2], rows[2:]):
        assert own["forward_nfe"] < loop["forward_nfe"]


def test_real_windows_that_are_not_there_are_missed_in_one_line(
    benchmark, capsys, tmp_path, monkeypatch
):
    monkeypatch.delenv("GRANDPP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as stop:
        benchmark.main(["--root", str(tmp_path)])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
