"""The time loop: saved times, device reads, retries, failures."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from grandpp.solvers import Status
from grandpp.solvers.explicit.adaptive_loop import AdaptiveLoop, reaching
from grandpp.solvers.explicit.stages import ErrorNorm
from grandpp.solvers.explicit.tableau import TSIT5
from grandpp.solvers.implicit.equation import StepError

F64 = torch.float64


class Log:
    """What a walk reports."""

    def __init__(self):
        self.steps, self.rejected, self.evaluations = [], 0, 0

    def accepted(self, start, attempt, end):
        assert attempt.size == pytest.approx(end - start)
        self.steps.append((start, end))

    def reject(self):
        self.rejected += 1

    def count(self, f):
        def rate(t, y):
            self.evaluations += 1
            return f(t, y)

        return rate


def walk(f, y, times, tol=1e-6, first=None):
    log = Log()
    norm = ErrorNorm(tol, tol)
    result = AdaptiveLoop(log.count(f), TSIT5, norm, log.accepted, log.reject, first)
    ts = times if isinstance(times, torch.Tensor) else torch.tensor(times, dtype=F64)
    return result.run(y, ts), log, result


def wave(t, y):
    return -5 * (y - (3 * t).cos())


ONE = torch.ones(3, dtype=F64)


@pytest.mark.parametrize("first", [None, 0.02])
def test_steps_follow_one_another_and_end_on_time(first):
    ys, log, result = walk(wave, ONE, [0.5, 2.0], first=first)
    starts, ends = zip(*log.steps, strict=True)
    assert starts == (0.5, *ends[:-1])
    assert ends[-1] == 2.0
    assert len(ys) == 1
    guess = 1 if first is None else 0
    assert log.evaluations == 1 + guess + 6 * (len(log.steps) + log.rejected)
    assert result.next_step > 0


def test_saved_times_cost_no_evaluation_and_lie_on_the_same_trajectory():
    _, plain, _ = walk(wave, ONE, [0.0, 2.0], tol=1e-8)
    times = [0.0, 1e-9, 0.31, 0.32, 1.0, 2.0]
    ys, log, _ = walk(wave, ONE, times, tol=1e-8)
    assert log.steps == plain.steps
    for t, y in zip(times[1:], ys, strict=True):
        (alone,), _, _ = walk(wave, ONE, [0.0, t], tol=1e-11)
        torch.testing.assert_close(y, alone, rtol=0, atol=1e-7)


class Reads(TorchDispatchMode):
    """Counts what makes the host wait for the device: scalars read, tensors copied."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
            torch.ops.aten.is_nonzero.default,
        )
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("first", [0.5, 1e-3])
def test_each_step_that_is_tried_reads_the_device_once(first):
    with Reads() as reads:
        _, log, _ = walk(wave, ONE, [0.0, 0.7, 4.0], first=first)
    assert len(log.steps) > 5
    assert log.rejected > 0
    assert reads.count == len(log.steps) + log.rejected


def test_a_rejected_step_keeps_no_graph():
    alive = set()

    class Kept:
        def __init__(self, x):
            self.x = x
            alive.add(id(self))

        def __del__(self):
            alive.discard(id(self))

    def f(t, y):
        return (3 * y).sin()

    y = ONE.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.x):
        ys, log, _ = walk(f, y, [0.0, 3.0], first=3.0)
    assert log.rejected > 0
    assert ys[0].requires_grad
    # One value per evaluation that the result depends on: no last slope, no rejected stage.
    assert len(alive) <= 6 * len(log.steps) + 1


@pytest.mark.parametrize("first", [None, 1.0])
def test_a_trial_that_leaves_the_domain_is_repeated_shorter(first):
    # y' = -sqrt(y) reaches 0.01 at t = 1.8; beyond 2 there is no real solution.
    ys, log, _ = walk(lambda t, y: -y.sqrt(), ONE, [0.0, 1.8], tol=1e-8, first=first)
    torch.testing.assert_close(ys[0], torch.full_like(ONE, 0.01), rtol=0, atol=1e-7)
    if first:
        _, log, _ = walk(lambda t, y: -y.sqrt(), ONE, [0.0, 1.8], tol=1e-8, first=5.0)
        assert log.rejected > 0


@pytest.mark.parametrize(
    ("f", "status", "most"),
    [
        (lambda t, y: y * math.nan, Status.NON_FINITE, 7),
        (lambda t, y: y * y, Status.STEP_UNDERFLOW, 10_000),
        (lambda t, y: torch.where(t > 0.5, math.nan, -y), Status.NON_FINITE, 1000),
    ],
)
@pytest.mark.parametrize("first", [None, 0.1])
def test_where_no_step_is_short_enough_it_gives_up(f, status, most, first):
    log = Log()
    loop = AdaptiveLoop(log.count(f), TSIT5, ErrorNorm(1e-6, 1e-6), log.accepted, log.reject, first)
    with pytest.raises(StepError) as caught:
        loop.run(ONE, torch.tensor([0.0, 2.0], dtype=F64))
    assert caught.value.status is status
    assert log.evaluations <= most


def test_a_step_shorter_than_the_clock_can_tell_is_an_underflow():
    with pytest.raises(StepError) as caught:
        walk(wave, ONE, [1e9, 2e9], first=1e-9)
    assert caught.value.status is Status.STEP_UNDERFLOW


def test_a_first_step_beyond_the_end_is_shortened_and_proposed_again():
    _, log, result = walk(lambda t, y: 1e-4 * y, ONE, [0.0, 1e-3], first=7.0)
    assert log.steps == [(0.0, 1e-3)]
    assert log.evaluations == 7
    assert result.next_step == 7.0


def test_the_first_step_is_found_for_states_at_zero_and_at_rest():
    for f, y, most in (
        (lambda t, y: torch.ones_like(y), 0 * ONE, 6),
        (lambda t, y: torch.zeros_like(y), ONE, 1),
        (lambda t, y: 0 * y, 0 * ONE, 1),
    ):
        _, log, _ = walk(f, y, [0.0, 1e3])
        assert len(log.steps) <= most


@pytest.mark.parametrize("end", [0.3, 1.1, -0.7, 1e-8])
def test_the_last_step_reaches_the_end_despite_rounding(end):
    start = 1 / 3
    _, log, _ = walk(wave, ONE, [start, start + end], tol=1e-3, first=0.1)
    assert log.steps[-1][1] == start + end


def test_no_rounding_leaves_the_last_step_short_of_the_end():
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randn(2000, 2, generator=generator, dtype=F64).exp().tolist()
    short = 0
    for start, end in pairs:
        sign = math.copysign(1.0, end - start)
        short += sign * (start + (end - start)) < sign * end
        length = reaching(start, end)
        assert sign * (start + sign * length) >= sign * end
        assert length == pytest.approx(abs(end - start), rel=0, abs=1e-14)
    assert short > 0  # the naive length is, now and then
