"""Coupled oscillators against their normal modes and against another integrator."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import solve_ivp

from grandpp.data import oscillators
from grandpp.data.oscillators import DampedOscillators, oscillate

TIMES = torch.linspace(0.0, 12.0, 9, dtype=torch.float64)[None]


def test_without_drive_a_normal_mode_is_a_damped_cosine(monkeypatch):
    monkeypatch.setattr(oscillators, "AMPLITUDE", 0.0)
    squares, modes = torch.linalg.eigh(torch.tensor(oscillators.STIFFNESS, dtype=torch.float64))
    half = oscillators.DAMPING / 2
    for square, mode in zip(squares, modes.T, strict=True):
        start = torch.cat([mode, -half * mode])[None]
        found = oscillate(start, torch.zeros(1, dtype=torch.float64), TIMES)[0]
        turn = math.sqrt(square - half**2)
        shape = (-half * TIMES[0]).exp() * (turn * TIMES[0]).cos()
        torch.testing.assert_close(found, shape[:, None] * mode)


def test_with_drive_another_integrator_agrees():
    start = torch.tensor([[0.3, -1.0, 0.7, 0.2]], dtype=torch.float64)
    phase = 1.1
    (a, b), (c, d) = oscillators.STIFFNESS

    def rate(t, y):
        drive = oscillators.AMPLITUDE * math.cos(oscillators.FREQUENCY * t + phase)
        pull = (a * y[0] + b * y[1] - drive, c * y[0] + d * y[1])
        speed = y[2:]
        return [*speed, *(-p - oscillators.DAMPING * v for p, v in zip(pull, speed, strict=True))]

    exact = solve_ivp(rate, (0, 12), start[0].numpy(), t_eval=TIMES[0], rtol=1e-11, atol=1e-11)
    found = oscillate(start, torch.tensor([phase], dtype=torch.float64), TIMES)[0]
    torch.testing.assert_close(found, torch.from_numpy(exact.y[:2].T), atol=1e-8, rtol=0)


def test_windows_are_irregular_standardised_and_seeded():
    data = DampedOscillators(3, train=40, validation=10, test=20, length=12, horizon=5)
    assert [len(w) for w in (data.train, data.validation, data.test)] == [40, 10, 20]
    train = torch.cat([data.train.x, data.train.targets], 1).flatten(0, 1)
    torch.testing.assert_close(train.mean(0), torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(2, dtype=torch.float64))
    times = torch.cat([data.test.times, data.test.horizon], 1)
    assert float(times[:, 0].abs().max()) == 0
    assert 0.1 <= float(times.diff().min()) < 0.15
    assert 0.45 < float(times.diff().max()) <= 0.5
    again, other = (DampedOscillators(s, train=40, length=12, horizon=5) for s in (3, 4))
    assert not torch.equal(again.train.x, other.train.x)
    same = DampedOscillators(3, train=40, validation=10, test=20, length=12, horizon=5)
    assert torch.equal(same.train.x, data.train.x)


@pytest.mark.parametrize("name", ["train", "validation", "test", "length", "horizon"])
def test_sizes_must_be_positive(name):
    with pytest.raises(ValueError, match=f"'{name}' of at least 1"):
        DampedOscillators(**{name: 0})
