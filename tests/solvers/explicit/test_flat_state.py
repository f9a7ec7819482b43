"""States as one tensor."""

from __future__ import annotations

import torch

from grandpp.solvers.explicit.flat_state import FlatState


def test_a_tensor_stays_what_it_is():
    y = torch.ones(2, 3)
    layout = FlatState.of(y)
    assert layout.join(y) is y
    assert layout.split(y) is y
    assert layout.sections is None


def test_parts_of_a_tuple_lie_end_to_end_and_come_back_with_times_in_front():
    y = (torch.arange(2.0), torch.tensor([[1 + 2j]]), torch.ones(0, 3))
    layout = FlatState.of(y)
    x = layout.join(y)
    assert x.tolist() == [0.0, 1.0, 1.0, 2.0]
    assert layout.sections == (2, 2, 0)
    back = layout.split(torch.stack([x, 2 * x]))
    assert [part.shape for part in back] == [(2, 2), (2, 1, 1), (2, 0, 3)]
    assert back[1].tolist() == [[[1 + 2j]], [[2 + 4j]]]


def test_a_rate_takes_joined_states_and_gives_slopes_of_their_precision():
    y = (torch.ones(2), torch.ones(1, 2))
    layout = FlatState.of(y)
    rate = layout.rate(lambda t, s: (t * s[0].double(), 3 * s[1]))
    slope = rate(torch.tensor(2.0), layout.join(y))
    assert slope.tolist() == [2.0, 2.0, 3.0, 3.0]
    assert slope.dtype == torch.float32
    single = FlatState.of(y[0]).rate(lambda t, s: s.double())
    assert single(torch.zeros(()), y[0]).dtype == torch.float32
