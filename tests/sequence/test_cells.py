from __future__ import annotations

import pytest
import torch

from grandpp.sequence import LinearCell, MLPCell, WindowInitial, plane_vibration_model


def test_the_linear_cell_adds_a_map_of_observation_position_and_momentum():
    cell = LinearCell(2, 3, parts=2).double()
    x, h = torch.randn(4, 2).double(), torch.randn(4, 6).double()
    p, q = h.chunk(2, dim=1)
    on_p, on_q = cell.hidden
    for linear in cell.hidden:
        linear.reset_parameters()
    exact = h + x @ cell.input.weight.T + p @ on_p.weight.T + q @ on_q.weight.T
    exact = exact + cell.input.bias + on_p.bias + on_q.bias
    torch.testing.assert_close(cell(x, h), exact)


def test_a_new_linear_cell_neither_grows_nor_shrinks_a_state():
    cell = LinearCell(2, 3, parts=2)
    h = torch.randn(4, 6)
    with torch.no_grad():
        cell.input.bias.zero_()
    assert torch.equal(cell(torch.zeros(4, 2), h), h)


@pytest.mark.parametrize("residual", [True, False])
def test_the_perceptron_may_add_the_old_state(residual):
    cell = MLPCell(2, 6, (5, 4), residual=residual)
    x, h = torch.randn(4, 2), torch.randn(4, 6)
    first, second, third = cell.layers[0], cell.layers[2], cell.layers[4]
    out = third(second(first(torch.cat([h, x], 1)).tanh()).tanh())
    torch.testing.assert_close(cell(x, h), h + out if residual else out)


def test_the_initial_state_sees_its_window_and_takes_what_is_missing_as_zero():
    initial = WindowInitial(2, 3, window=4)
    x = torch.randn(6, 5, 2)
    exact = initial.linear(torch.cat([x[0], x[1], x[2], x[3]], dim=1))
    torch.testing.assert_close(initial(x), exact)
    short = torch.cat([x[:2], torch.zeros(2, 5, 2)])
    torch.testing.assert_close(initial(x[:2]), initial(short))


@pytest.mark.parametrize("kind", ["node", "anode", "sonode", "hbnode", "ghbnode"])
def test_an_untrained_model_does_not_run_away(kind):
    torch.manual_seed(0)
    net = plane_vibration_model(kind, window=2, rtol=1e-4, atol=1e-4).double()
    x = torch.randn(64, 8, 5, dtype=torch.float64)
    times = torch.arange(64.0, dtype=torch.float64).view(64, 1).expand(64, 8)
    assert float(net(x, times).outputs.detach().abs().max()) < 1e3
