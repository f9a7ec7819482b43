"""The plain loop against the library, and the benchmark at a small size; nothing is timed."""

from __future__ import annotations

import json

import pytest
import torch

from grandpp.sequence import plane_vibration_model


@pytest.fixture
def benchmark(monkeypatch, load):
    for name in ("common", "ode_rnn_loop"):
        load(name)
    module = load("sequence")
    for name, value in (("BATCH", 4), ("STAMPS", 3), ("AHEAD", 2)):
        monkeypatch.setattr(module, name, value)
    return module


@pytest.mark.parametrize("kind", ["node", "sonode", "hbnode", "ghbnode"])
def test_the_plain_loop_computes_the_same(benchmark, kind):
    data = benchmark.windows(4, None)
    torch.manual_seed(0)
    model = plane_vibration_model(kind, window=3, batch_first=True, rtol=1e-8, atol=1e-8).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 0.3
    seen = {"x": data.x, "times": data.times, "horizon": data.horizon}
    found, own = benchmark.Loop(model, 1e-8, adjoint=False)(**seen), model(**seen)
    for name in ("outputs", "reconstruction", "forecast"):
        torch.testing.assert_close(getattr(found, name), getattr(own, name), rtol=1e-5, atol=1e-6)
    assert found.stats.nfe_forward > 0 and found.stats.nfe_backward == 0


def test_the_plain_loops_adjoint_has_the_gradient_of_autograd(benchmark):
    data = benchmark.windows(4, None)
    torch.manual_seed(0)
    model = plane_vibration_model("hbnode", window=3, batch_first=True).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 0.3
    found = []
    for adjoint in (False, True):
        loop = benchmark.Loop(model, 1e-6, adjoint)
        out = loop(data.x, data.times, data.horizon)
        loss = out.forecast.square().mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        found.append(torch.cat([gradient.flatten() for gradient in gradients]))
        assert out.stats.nfe_backward > 0
    direct, adjoint = found
    assert float((direct - adjoint).norm()) <= 1e-3 * float(direct.norm())


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
