"""Curves next to the truth, and norms of adjoint states."""

from __future__ import annotations

import pytest
import torch
from series import model

from grandpp.data import DampedOscillators, Windows
from grandpp.solvers import Tsit5
from grandpp.studies.sequences.inspection import forecast_curve, probe_adjoint

WINDOWS = DampedOscillators(0, train=1, validation=1, test=3, length=4, horizon=2).test


def test_a_curve_has_each_prediction_at_the_time_it_is_about():
    net = model("hbnode", batch_first=True)
    out = net(WINDOWS.x, WINDOWS.times, horizon=WINDOWS.horizon)
    curve = forecast_curve(net, WINDOWS, window=1, channel=0)
    assert curve.times == [*WINDOWS.times[1].tolist(), *WINDOWS.horizon[1].tolist()]
    assert curve.truth == [*WINDOWS.x[1, :, 0].tolist(), *WINDOWS.targets[1, :, 0].tolist()]
    expected = [WINDOWS.x[1, 0, 0], *out.outputs[1, :3, 0], *out.forecast[1, :, 0]]
    assert curve.predicted == pytest.approx([float(v) for v in expected], rel=1e-4, abs=1e-6)


class TestProbe:
    def test_norms_are_those_of_autograd(self):
        net = model("hbnode", batch_first=True, gradient="direct")
        probe = probe_adjoint(net, WINDOWS)
        norms = []
        for i in range(3):
            with net.adjoint_norms() as adjoints:
                one = WINDOWS[slice(i, i + 1)]
                out = net(one.x, one.times, horizon=one.horizon)
                (out.forecast - one.targets).square().mean().backward()
            norms.append(adjoints.norms[0])
        expected = torch.stack(norms).mean(0).tolist()
        assert probe.norms == pytest.approx(expected, rel=1e-4)

    def test_the_number_of_windows_does_not_matter(self):
        net = model("node", batch_first=True)
        twice = Windows(
            *(torch.cat([getattr(WINDOWS, n)] * 2) for n in ("x", "times", "horizon", "targets"))
        )
        once = probe_adjoint(net, WINDOWS)
        assert len(once.norms) == 4
        assert probe_adjoint(net, twice).norms == pytest.approx(once.norms, rel=1e-6)

    def test_the_model_stays_as_it_is(self):
        net = model("hbnode", batch_first=True, gradient="direct")
        solver = net.solver
        probe = probe_adjoint(net, WINDOWS)
        assert net.solver is solver
        assert all(p.grad is None for p in net.parameters())
        assert probe.nfe_forward > 0
        assert probe.nfe_backward > 0

    def test_another_solver_may_be_counted(self):
        net = model("hbnode", batch_first=True)
        loose = probe_adjoint(net, WINDOWS, Tsit5(rtol=1e-2, atol=1e-2))
        assert 0 < loose.nfe_forward < probe_adjoint(net, WINDOWS).nfe_forward
        assert net.solver.rtol == 1e-7

    def test_a_solver_without_a_choice_is_refused(self):
        net = model("node", batch_first=True)
        net.solver = object()
        with pytest.raises(TypeError):
            probe_adjoint(net, WINDOWS)
