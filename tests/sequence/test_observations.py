from __future__ import annotations

import math

import pytest
import torch
from series import batch, model

from grandpp.sequence.observations import Observations


def refused(message, x=None, times=None, lengths=None, horizon=None):
    plain = batch()
    x, times = plain[0] if x is None else x, plain[1] if times is None else times
    with pytest.raises(ValueError, match=message):
        model()(x, times, lengths, horizon)


def with_value(tensor, place, value):
    tensor = tensor.clone()
    tensor[place] = value
    return tensor


def test_shapes_that_do_not_fit_are_refused():
    x, times, horizon = batch()
    refused(r"observations \[L, B, 2\].*got \[5, 3\]", x=x[..., 0])
    refused(r"observations .*got \[5, 3, 1\]", x=x[..., :1])
    refused(r"observations .*got \[0, 3, 2\]", x=x[:0])
    refused(r"times \[5, 3\] \(got \[4, 3\]\)", times=times[:4])
    refused(r"horizon \[H, 3\].*got \[3, 2\]", horizon=horizon[:, :2])
    refused(r"horizon \[H, 3\].*got \[0, 3\]", horizon=horizon[:0])
    refused(r"int64 lengths \[3\] \(got torch.int64 \[2\]\)", lengths=torch.tensor([1, 2]))
    refused(r"int64 lengths .*got torch.float32", lengths=torch.ones(3))


def test_lengths_out_of_range_are_refused():
    refused(r"between 1 and 5 \(got 0 to 5\)", lengths=torch.tensor([0, 5, 3]))
    refused(r"between 1 and 5 \(got 2 to 6\)", lengths=torch.tensor([2, 6, 3]))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(value):
    x, times, horizon = batch()
    refused("finite observations", x=with_value(x, (2, 1, 0), value))
    refused("finite times", times=with_value(times, (2, 1), value))
    refused("finite horizon", horizon=with_value(horizon, (1, 1), value))


def test_times_that_do_not_increase_are_refused_by_their_place():
    _, times, _ = batch()
    same = with_value(times, (3, 1), times[2, 1])
    refused("strictly increasing times .*at observation 3 of element 1", times=same)
    # Before the end of the element that is an error too, past it anything goes.
    refused("at observation 3", times=same, lengths=torch.tensor([5, 4, 5]))
    x, _, _ = batch()
    assert model()(x, same, torch.tensor([5, 3, 5])).successful


def test_horizons_before_the_last_observation_or_out_of_order_are_refused():
    _, times, horizon = batch()
    early = with_value(horizon, (0, 2), times[-1, 2] - 1e-3)
    refused("at or after the last observation .*element 2", horizon=early)
    refused("strictly increasing horizon", horizon=horizon[[0, 0, 1]])


def test_a_horizon_at_the_last_observation_is_the_state_there():
    x, times, horizon = batch()
    out = model()(x, times, horizon=torch.cat([times[-1:], horizon]))
    assert torch.equal(out.forecast[0], out.reconstruction[-1])
    torch.testing.assert_close(out.forecast[1:], model()(x, times, horizon=horizon).forecast)


def test_short_elements_stay_at_their_last_time():
    x, times, _ = batch()
    seen = Observations.of(x, times, torch.tensor([2, 4, 1]), None)
    assert len(seen.x) == 4
    assert torch.equal(seen.last, times[[1, 3, 0], [0, 1, 2]])
    assert torch.equal((seen.gaps > 0).sum(0), torch.tensor([1, 3, 0]))
    assert torch.equal(seen.is_last.nonzero()[:, 0], torch.tensor([0, 1, 3]))
