from __future__ import annotations

import math

import pytest
import torch
from series import F64, Given, Identity, Linear, batch, model
from torch import nn

from grandpp.fields import HeavyBall
from grandpp.layers import KINDS
from grandpp.sequence import ODERNN, WindowInitial
from grandpp.solvers import SolveError, Status


def follow(generator, start, times):
    """exp(A (t - t_0)) y_0 for the times [S, B] of every element."""
    moved = torch.linalg.matrix_exp(generator * (times - times[0])[..., None, None])
    return (moved @ start.unsqueeze(-1)).squeeze(-1)


def carrier(kind, initial, field, **options):
    """A model whose prediction is its position and whose cell does nothing."""
    n = 3
    net = ODERNN(
        kind, 2, n, n, field=field, cell=Identity(), initial=Given(initial),
        rtol=1e-10, atol=1e-10, **options,
    ).double()  # fmt: skip
    net.output = nn.Identity()
    return net


def test_without_jumps_positions_follow_the_matrix_exponential_at_each_elements_own_times():
    x, times, horizon = batch()
    a, h0 = torch.randn(3, 3, dtype=F64), torch.randn(3, 3, dtype=F64)
    out = carrier("node", h0, Linear(a))(x, times, horizon=horizon)
    exact = follow(a, h0, torch.cat([times, horizon]))
    torch.testing.assert_close(out.reconstruction, exact[:5])
    torch.testing.assert_close(out.outputs, exact[1:6])
    torch.testing.assert_close(out.forecast, exact[5:])
    torch.testing.assert_close(out.state, exact[-1])


def test_heavy_balls_without_jumps_follow_their_block_matrix():
    x, times, horizon = batch()
    a, start = torch.randn(3, 3, dtype=F64), torch.randn(3, 6, dtype=F64)
    eye = torch.eye(3, dtype=F64)
    block = torch.cat([torch.cat([0 * eye, eye], 1), torch.cat([a, -0.3 * eye], 1)])
    out = carrier(HeavyBall(gamma=0.3), start, Linear(a))(x, times, horizon=horizon)
    exact = follow(block, start, torch.cat([times, horizon]))
    torch.testing.assert_close(out.forecast, exact[5:, :, :3])
    torch.testing.assert_close(torch.cat(list(out.state), dim=1), exact[-1])


def test_the_field_gets_the_absolute_time():
    class Clock(nn.Module):
        def forward(self, t, h):
            return t.expand_as(h)

    x, times, horizon = batch()
    out = carrier("node", torch.zeros(3, 3, dtype=F64), Clock())(x, times, horizon=horizon)
    exact = ((horizon**2 - times[0] ** 2) / 2).unsqueeze(-1).expand(-1, -1, 3)
    torch.testing.assert_close(out.forecast, exact)


def test_a_jump_changes_the_state_at_the_observation_and_not_before():
    class Replace(nn.Module):
        def forward(self, x, h):
            return torch.cat([x, x[:, :1]], dim=1)

    x, times, _ = batch()
    net = carrier("node", torch.zeros(3, 3, dtype=F64), Linear(-torch.eye(3, dtype=F64)))
    net.cell = Replace()
    out = net(x, times)
    seen = torch.cat([x, x[..., :1]], dim=-1)
    torch.testing.assert_close(out.reconstruction, seen)
    decay = (times[:-1] - times[1:]).exp().unsqueeze(-1)
    torch.testing.assert_close(out.outputs[:-1], seen[:-1] * decay)
    # There is nowhere to go from the last observation.
    torch.testing.assert_close(out.outputs[-1], seen[-1])
    assert out.forecast is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_the_same_as_its_elements_one_by_one(kind):
    x, times, horizon = batch()
    lengths = torch.tensor([5, 2, 4])
    horizon = horizon - (times[-1] - times.gather(0, lengths[None] - 1)[0])
    net = model(kind)
    whole = net(x, times, lengths, horizon)
    for b, length in enumerate(lengths.tolist()):
        one = slice(b, b + 1)
        alone = net(x[:length, one], times[:length, one], horizon=horizon[:, one])
        for name in ("outputs", "reconstruction", "forecast"):
            got = getattr(whole, name)[:, one]
            got = got if name == "forecast" else got[:length]
            torch.testing.assert_close(got, getattr(alone, name), rtol=1e-5, atol=1e-5)
        state = whole.state.narrow(net.dynamics.batch_dim, b, 1)
        torch.testing.assert_close(state, alone.state, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["node", "ghbnode"])
def test_nothing_depends_on_what_stands_in_the_padding_nor_on_how_much_of_it(kind):
    x, times, horizon = batch()
    lengths = torch.tensor([4, 2, 3])
    horizon = horizon + 1
    net = model(kind)
    plain = net(x, times, lengths, horizon)
    junk = torch.full((3, *x.shape[1:]), math.nan, dtype=F64)
    x, times = torch.cat([x, junk]).clone(), torch.cat([times, junk[..., 0]]).clone()
    for b, length in enumerate(lengths.tolist()):
        x[length:, b], times[length:, b] = math.nan, -1e9
    padded = net(x, times, lengths, horizon)
    assert torch.equal(padded.forecast, plain.forecast)
    assert torch.equal(padded.state, plain.state)
    assert torch.equal(padded.outputs[:5], plain.outputs)
    assert torch.equal(padded.reconstruction[:5], plain.reconstruction)
    for b, length in enumerate(lengths.tolist()):
        assert not padded.outputs[length:, b].any()
        assert torch.equal(padded.outputs[length - 1, b], padded.forecast[0, b])
    (padded.outputs.sum() + padded.forecast.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_batch_first_exchanges_the_first_two_dimensions_of_everything():
    x, times, horizon = batch()
    lengths = torch.tensor([5, 3, 4])
    plain = model()(x, times, lengths, horizon)
    turned = model(batch_first=True)(x.transpose(0, 1), times.T, lengths, horizon.T)
    for name in ("outputs", "reconstruction", "forecast"):
        assert torch.equal(getattr(turned, name).transpose(0, 1), getattr(plain, name))
    assert torch.equal(turned.state, plain.state)


def test_gradients_pass_gradcheck_times_included():
    x, times, horizon = batch(steps=3, size=2, ahead=2)
    net = model(hidden=2, solver="rk4", step_size=0.5, rtol=None, atol=None)
    inputs = [v.clone().requires_grad_() for v in (x, times, horizon)]

    def run(x, times, horizon):
        out = net(x, times, torch.tensor([3, 2]), horizon)
        return out.outputs, out.forecast

    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("gradient", ["adjoint", "checkpoint"])
@pytest.mark.parametrize("kind", ["anode", "hbnode", "sonode"])
def test_all_gradients_agree(kind, gradient):
    x, times, horizon = batch(steps=3, size=2)
    found = []
    for how in ("direct", gradient):
        net = model(kind, gradient=how)
        out = net(x, times, torch.tensor([3, 2]), horizon + 1)
        (out.outputs.square().sum() + out.forecast.square().sum()).backward()
        found.append([p.grad for p in net.parameters()])
    for direct, other in zip(*found, strict=True):
        torch.testing.assert_close(other, direct, rtol=1e-4, atol=1e-6)


def test_stats_sum_over_all_intervals_and_horizons():
    x, times, horizon = batch(steps=5, ahead=3)
    net = model(solver="rk4", step_size=0.5, rtol=None, atol=None)
    out = net(x, times, horizon=horizon)
    # rk4 takes four evaluations a step, two steps an interval.
    assert out.stats.nfe_forward == (4 + 3) * 2 * 4
    assert out.stats.nfe_backward == 0
    out.forecast.sum().backward()
    assert out.stats.nfe_backward > 0


def test_an_interval_starts_with_the_step_that_ended_the_one_before():
    x, times, horizon = batch(steps=6)
    field = Linear(-0.01 * torch.eye(3, dtype=F64))
    net = carrier("node", torch.ones(3, 3, dtype=F64), field)
    stats = net(x, times, horizon=horizon).stats
    # Six evaluations a step and one for its start; only the first interval has to feel its way.
    later = stats.nfe_forward - net(x[:1], times[:1], horizon=times[1:2]).stats.nfe_forward
    assert later == 7 * (5 + 3 - 1)
    assert stats.rejected == 0


def test_extra_padding_costs_nothing():
    x, times, _ = batch()
    net = model(solver="euler", step_size=1.0, rtol=None, atol=None)
    out = net(x, times, torch.tensor([3, 1, 2]))
    assert out.stats.nfe_forward == 2


def test_the_second_moment_of_adam_does_not_jump():
    net = model("adamnode")
    state = torch.rand(3, 2, 4, dtype=F64)
    after = net.jump(torch.randn(2, 2, dtype=F64), state)
    assert torch.equal(after[2], state[2])
    assert not torch.equal(after[:2], state[:2])


def test_recurrent_cells_of_torch_fit():
    x, times, _ = batch()
    net = ODERNN("hbnode", 2, 4, 1, cell=nn.GRUCell(2, 8), rtol=1e-6, atol=1e-6).double()
    out = net(x, times)
    assert out.outputs.shape == (5, 3, 1) and out.state.shape == (2, 3, 4)


def exploding(**options):
    class Square(nn.Module):
        def forward(self, t, h):
            return h * h * h

    h0 = torch.full((3, 3), 0.5, dtype=F64)
    return carrier("node", h0, Square(), max_nfe=300, **options)


def test_a_blow_up_names_its_observation():
    # h' = h^3 from 1/2 is infinite after a time of 2.
    x, times, horizon = batch(steps=6)
    blown = int(((times - times[0]).max(dim=1).values < 2).sum()) - 1
    with pytest.raises(SolveError, match=f"after observation {blown} stopped"):
        exploding()(x, times, horizon=horizon)


def test_a_blow_up_is_a_status_where_nothing_is_raised():
    x, times, horizon = batch(steps=6)
    out = exploding().solve(x, times, horizon=horizon, throw=False)
    assert not out.successful and out.status is not Status.SUCCESS
    k = out.failed_at
    assert torch.isfinite(out.outputs[:k]).all() and out.outputs[k:].isnan().all()
    assert out.forecast.isnan().all() and out.state.isnan().all()
    assert out.stats.nfe_forward > 0


def test_a_jump_to_infinity_is_a_status_too():
    class Huge(nn.Module):
        def forward(self, x, h):
            return h / 0

    net = carrier("node", torch.ones(3, 3, dtype=F64), Linear(torch.eye(3, dtype=F64)))
    net.cell = Huge()
    x, times, _ = batch()
    for steps in (1, 5):
        out = net.solve(x[:steps], times[:steps], throw=False)
        assert out.status is Status.NON_FINITE and out.failed_at == 0


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="kind"):
        ODERNN("lstm", 2, 4, 2)
    with pytest.raises(ValueError, match=r"positive sizes \(got \(2, 0, 2\)\)"):
        ODERNN("node", 2, 0, 2)
    with pytest.raises(TypeError, match="step_size"):
        ODERNN("node", 2, 4, 2, step_size=0.1)
    x, times, _ = batch()
    net = ODERNN("hbnode", 2, 4, 2, initial=Given(torch.ones(3, 5))).double()
    with pytest.raises(ValueError, match=r"to give 4 values or 8 \(got 5\)"):
        net(x, times)


def test_repr_names_sizes_and_solver():
    text = repr(ODERNN("ghbnode", 2, 4, 3, batch_first=True, rtol=1e-5))
    assert "2, 4, 3, batch_first=True" in text and "rtol=1e-05" in text
    assert "GeneralizedHeavyBall" in text and "LinearCell" in text


@pytest.mark.parametrize("width", [3, 6])
def test_an_initial_network_of_anode_gives_all_channels_or_those_before_the_zeros(width):
    net = ODERNN("anode", 2, 6, 1, initial=WindowInitial(2, width))
    x, times = torch.randn(3, 4, 2), torch.arange(3.0).view(3, 1).expand(3, 4)
    state = net.initial_state(x)
    assert state.shape == (4, 6)
    torch.testing.assert_close(state[:, :width], net.initial(x))
    assert not state[:, width:].any()
    assert net(x, times).outputs.shape == (3, 4, 1)


def test_elements_at_their_end_cost_nothing_and_leave_the_errors_of_others_alone():
    torch.manual_seed(0)
    net = ODERNN("hbnode", 2, 6, 1, rtol=1e-4, atol=1e-4).double()
    x = torch.randn(8, 300, 2, dtype=F64)
    times = torch.arange(8.0, dtype=F64).view(8, 1).expand(8, 300) * 3
    lengths = torch.ones(300, dtype=torch.int64)
    lengths[0] = 8
    together, alone = net(x, times, lengths), net(x[:, :1], times[:, :1])
    torch.testing.assert_close(together.state[:, 0], alone.state[:, 0], rtol=1e-9, atol=0)
    assert together.stats.nfe_forward == alone.stats.nfe_forward


@pytest.mark.parametrize(
    ("x", "times", "horizon", "words"),
    [
        ((3, 4, 5), (3, 4), None, r"\[B, L, 2\].*got \[3, 4, 5\]"),
        ((3, 4, 2), (3,), None, r"expected times \[3, 4\] \(got \[3\]\)"),
        ((3, 4, 2), (4, 3), None, r"expected times \[3, 4\] \(got \[4, 3\]\)"),
        ((3, 4, 2), (3, 4), (2, 5), r"horizon \[3, H\].*got \[2, 5\]"),
    ],
)
def test_shapes_are_told_in_the_users_order(x, times, horizon, words):
    net = ODERNN("node", 2, 3, 1, batch_first=True)
    later = None if horizon is None else torch.ones(horizon)
    with pytest.raises(ValueError, match=words):
        net(torch.ones(x), torch.ones(times), horizon=later)


def test_observations_of_another_type_are_refused():
    with pytest.raises(ValueError, match=r"float32 \(got torch.float64\)"):
        ODERNN("node", 2, 3, 1)(torch.ones(2, 1, 2, dtype=F64), torch.tensor([[0.0], [1.0]]))


@pytest.mark.parametrize("batch_first", [False, True])
def test_one_row_of_times_serves_every_element(batch_first):
    torch.manual_seed(0)
    net = ODERNN("hbnode", 2, 4, 2, batch_first=batch_first).double()
    shape = (3, 5, 2) if batch_first else (5, 3, 2)
    x, times = torch.randn(shape, dtype=F64), torch.rand(5, dtype=F64).cumsum(0)
    horizon = times[-1] + torch.tensor([0.5, 1.0], dtype=F64)
    dim = 0 if batch_first else 1
    each = [torch.stack([t, t, t], dim=dim) for t in (times, horizon)]
    shared, own = net(x, times, horizon=horizon), net(x, each[0], horizon=each[1])
    assert torch.equal(shared.outputs, own.outputs)
    assert torch.equal(shared.forecast, own.forecast)
    with pytest.raises(ValueError, match=r"times \[\d, \d\] .got \[3\]"):
        net(x, times[:3])


@pytest.mark.parametrize("missing", ["zero", "prediction"])
@pytest.mark.parametrize("kind", ["node", "hbnode", "adamnode"])
def test_an_observation_of_which_nothing_is_known_is_as_if_it_had_not_been(kind, missing):
    torch.manual_seed(0)
    net = ODERNN(kind, 2, 4, 2, rtol=1e-9, atol=1e-10, missing=missing).double()
    x, times = torch.randn(5, 3, 2, dtype=F64), torch.rand(5, 3, dtype=F64).cumsum(0)
    keep = [0, 1, 3, 4]
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[2] = False
    x[2] = math.nan
    out, without = net(x, times, mask=mask), net(x[keep], times[keep])
    torch.testing.assert_close(out.reconstruction[keep], without.reconstruction)
    torch.testing.assert_close(out.outputs[2:], without.outputs[1:])
    out.outputs.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


def test_unknown_components_reach_the_cell_as_zero_or_as_what_the_model_predicts():
    torch.manual_seed(0)
    seen = []

    class Watching(nn.Module):
        def forward(self, x, h):
            seen.append(x)
            return h + x.sum(-1, keepdim=True)

    x, times, _ = batch()
    x = x[..., :2]
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    dirty = torch.where(mask, x, math.nan)
    for missing in ("zero", "prediction"):
        seen.clear()
        net = ODERNN("node", 2, 4, 2, cell=Watching(), missing=missing).double()
        out = net(dirty, times, mask=mask)
        guesses = torch.zeros_like(x)
        if missing == "prediction":
            start = net.output(x.new_zeros(1, 3, 4))
            guesses = torch.cat([start, out.outputs[:-1]])  # each made just before the jump
        torch.testing.assert_close(torch.stack(seen), torch.where(mask, x, guesses))
        assert out.outputs.isfinite().all()


def test_a_mask_goes_with_lengths_and_batch_first():
    torch.manual_seed(0)
    net = ODERNN("node", 2, 4, 2, rtol=1e-9, atol=1e-10).double()
    x, times = torch.randn(5, 3, 2, dtype=F64), torch.rand(5, 3, dtype=F64).cumsum(0)
    mask, lengths = torch.rand(5, 3, 2) < 0.6, torch.tensor([5, 2, 4])
    out = net(x, times, lengths, mask=mask)
    for i, n in enumerate(lengths.tolist()):
        alone = net(x[:n, i : i + 1], times[:n, i : i + 1], mask=mask[:n, i : i + 1])
        torch.testing.assert_close(out.outputs[:n, i : i + 1], alone.outputs)
    net.batch_first = True
    turned = net(x.transpose(0, 1), times.T, lengths, mask=mask.transpose(0, 1))
    torch.testing.assert_close(turned.outputs.transpose(0, 1), out.outputs)


def test_masks_and_choices_that_do_not_fit_are_refused():
    net = ODERNN("node", 2, 4, 2).double()
    x, times = torch.randn(5, 3, 2, dtype=F64), torch.rand(5, 3, dtype=F64).cumsum(0)
    for mask in (torch.ones(5, 3, dtype=torch.bool), torch.ones(5, 3, 2)):
        with pytest.raises(ValueError, match=r"bool mask \[5, 3, 2\]"):
            net(x, times, mask=mask)
    with pytest.raises(ValueError, match=r"zero, prediction.*got 'mean'"):
        ODERNN("node", 2, 4, 2, missing="mean")
    with pytest.raises(ValueError, match="output_size = input_size = 2"):
        ODERNN("node", 2, 4, 3, missing="prediction")
