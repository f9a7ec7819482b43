from __future__ import annotations

import pytest
import torch
from series import batch, model

from grandpp.fields.dynamics import time_scaled
from grandpp.solvers import solve


def by_hand(net, x, times, loss):
    """Norms from autograd.grad through a loop of our own."""
    state, states = net.initial_state(x), []
    f = net.dynamics.prepare(net.field)
    for k in range(len(x)):
        state = net.jump(x[k], state)
        states.append(state)
        if k + 1 < len(x):
            span = time_scaled(f, times[k], times[k + 1], net.dynamics.batch_dim)
            state = solve(span, state, (0.0, 1.0), solver=net.solver).y
    grads = torch.autograd.grad(loss(net.output(net.dynamics.position(state))), states)
    dims = (0, 2) if net.dynamics.parts > 1 else (1,)
    return torch.stack([torch.linalg.vector_norm(g, dim=dims) for g in grads])


@pytest.mark.parametrize("gradient", ["direct", "adjoint", "checkpoint"])
@pytest.mark.parametrize("kind", ["node", "hbnode"])
def test_norms_are_those_of_autograd(kind, gradient):
    x, times, _ = batch()
    net = model(kind, gradient=gradient)
    with net.adjoint_norms() as adjoints:
        out = net(x, times)
    out.outputs[-1].square().sum().backward()
    exact = by_hand(model(kind), x, times, lambda y: y.square().sum())
    torch.testing.assert_close(adjoints.norms, exact, rtol=1e-5, atol=1e-6)


def test_norms_are_zero_past_the_end_and_turn_with_the_batch():
    x, times, horizon = batch()
    lengths = torch.tensor([5, 2, 4])
    norms = []
    for first in (False, True):
        net = model(batch_first=first)
        turn = (lambda v: v.transpose(0, 1)) if first else (lambda v: v)
        with net.adjoint_norms() as adjoints:
            out = net(turn(x), turn(times), lengths, turn(horizon))
        out.forecast.square().sum().backward()
        norms.append(turn(adjoints.norms))
    assert norms[0].shape == (5, 3)
    assert torch.equal(norms[0] > 0, torch.arange(5)[:, None] < lengths)
    torch.testing.assert_close(*norms)


def test_a_run_outside_of_the_block_is_not_listened_to():
    x, times, _ = batch()
    net = model()
    with net.adjoint_norms() as adjoints:
        out = net(x, times)
    with pytest.raises(RuntimeError, match="backward"):
        _ = adjoints.norms
    out.outputs.sum().backward()
    kept = adjoints.norms.clone()
    net(10 * x, times).outputs.sum().backward()
    assert torch.equal(adjoints.norms, kept)


def test_without_gradients_there_are_no_norms():
    x, times, _ = batch()
    net = model()
    with net.adjoint_norms() as adjoints, torch.no_grad():
        net(x, times)
    with pytest.raises(RuntimeError, match="backward"):
        _ = adjoints.norms
