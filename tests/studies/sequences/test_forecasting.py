"""Training ODE-RNNs: what is minimised, what is counted, and that nothing else has a say."""

from __future__ import annotations

import pytest
import torch
from series import model

from grandpp.data import DampedOscillators
from grandpp.sequence import ODERNN
from grandpp.solvers import SolveError
from grandpp.studies.sequences.forecasting import Forecasting
from grandpp.studies.sequences.window_set import Splits
from grandpp.training.checkpointed_training import fit

DATA = DampedOscillators(0, train=10, validation=4, test=4, length=4, horizon=2)
SPLITS = Splits(DATA.train, DATA.validation, DATA.test)


def task(objective="forecast", kind="hbnode", batch_size=4, seed=0, **options):
    net = model(kind, batch_first=True, rtol=1e-5, atol=1e-5)
    return Forecasting(net, SPLITS, objective, batch_size=batch_size, seed=seed, **options)


def losses(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def mean_square(*pairs):
    terms = [(a - b).item() ** 2 for one, other in pairs for a, b in zip(one, other, strict=True)]
    return sum(terms) / len(terms)


class TestObjective:
    def test_forecast_is_about_the_rows_after_the_window(self):
        found = task()
        out = found.net(DATA.test.x, DATA.test.times, horizon=DATA.test.horizon)
        pairs = [(out.forecast[i, j], DATA.test.targets[i, j]) for i in range(4) for j in range(2)]
        assert found.error(out, DATA.test).item() == pytest.approx(mean_square(*pairs))
        assert found.evaluate()["test_loss"] == pytest.approx(mean_square(*pairs))

    def test_next_is_about_the_row_after_every_observation(self):
        found = task("next")
        out = found.net(DATA.test.x, DATA.test.times, horizon=DATA.test.horizon)
        pairs = [
            (out.outputs[i, j], DATA.test.x[i, j + 1] if j < 3 else DATA.test.targets[i, 0])
            for i in range(4)
            for j in range(4)
        ]
        assert found.evaluate()["test_loss"] == pytest.approx(mean_square(*pairs))

    @pytest.mark.parametrize("with_initial", [True, False])
    def test_one_step_is_the_gradient_of_the_papers_loss(self, with_initial):
        found = task(batch_size=10, clip=1e9)
        if not with_initial:
            found.net.initial = None
            found.optimizer = torch.optim.Adam(found.net.parameters())
        batch = DATA.train
        out = found.net(batch.x, batch.times, horizon=batch.horizon)
        following = torch.cat([batch.x[:, 1:], batch.targets[:, :1]], 1)
        loss = (out.forecast - batch.targets).square().mean()
        loss = loss + 0.1 * (out.outputs - following).square().mean()
        if with_initial:
            h = found.net.initial(batch.x.transpose(0, 1))[:, : found.net.hidden_size]
            loss = loss + 0.1 * (found.net.output(h) - batch.x[:, 0]).square().mean()
        expected = torch.autograd.grad(loss, list(found.net.parameters()), allow_unused=True)
        found.train_epoch(lambda: None)
        for parameter, gradient in zip(found.net.parameters(), expected, strict=True):
            if gradient is not None:
                torch.testing.assert_close(parameter.grad, gradient, rtol=1e-5, atol=1e-9)

    def test_gradients_are_clipped(self):
        found = task(batch_size=10, clip=1e-3)
        found.train_epoch(lambda: None)
        norms = [p.grad.norm() for p in found.net.parameters() if p.grad is not None]
        assert float(torch.stack(norms).norm()) == pytest.approx(1e-3, rel=1e-3)


class TestEpoch:
    def test_losses_fall(self):
        found = task(lr=3e-2)
        before = found.evaluate()
        for _ in range(16):
            row = found.train_epoch(lambda: None)
        assert row["train_loss"] < 0.7 * before["test_loss"]

    def test_every_batch_is_told_and_the_last_has_the_rest(self):
        found, told = task(), []
        assert found.batches == 3
        found.train_epoch(lambda: told.append(1))
        assert len(told) == 3

    def test_evaluations_are_the_mean_over_batches_of_all_intervals(self):
        found, calls = task(), []
        field = found.net.field.forward
        found.net.field.forward = lambda *a: (calls.append(1), field(*a))[1]
        row = found.train_epoch(lambda: None)
        assert row["nfe_forward"] == pytest.approx(len(calls) / 3)
        assert row["nfe_backward"] > 5 * 3  # five intervals with one step of some stages each
        calls.clear()
        assert found.evaluate()["nfe_evaluation"] == pytest.approx(len(calls) / 2)

    def test_evaluation_changes_nothing(self):
        found = task()
        state = found.generator.get_state()
        before = [p.clone() for p in found.net.parameters()]
        first, second = found.evaluate(), found.evaluate()
        assert first == second
        assert torch.equal(state, found.generator.get_state())
        assert all(torch.equal(a, b) for a, b in zip(before, found.net.parameters(), strict=True))

    def test_the_seed_decides_the_batches(self):
        first, again, other = (task(seed=s).train_epoch(lambda: None) for s in (0, 0, 1))
        assert first == again
        assert first != other

    def test_a_training_that_blows_up_is_a_status(self):
        found = task()
        with torch.no_grad():
            for parameter in found.net.cell.parameters():
                parameter.fill_(1e200)
        done = fit(found, 1, {})
        assert "stopped at" in done.status
        assert done.history == []
        with pytest.raises(SolveError):
            found.evaluate()


@pytest.mark.parametrize("gradient", ["direct", "adjoint"])
def test_an_interrupted_training_ends_as_an_undisturbed_one(tmp_path, gradient):
    def fresh():
        net = model("hbnode", batch_first=True, rtol=1e-2, atol=1e-2, gradient=gradient)
        return Forecasting(net, SPLITS, "forecast", batch_size=4)

    whole = fit(fresh(), 2, {})
    path = tmp_path / "half.pt"
    fit(fresh(), 1, {}, checkpoint=path)
    resumed = fit(fresh(), 2, {}, checkpoint=path, resume=True)
    assert losses(resumed.history) == losses(whole.history)


class TestRefusals:
    def test_an_unknown_objective(self):
        with pytest.raises(ValueError, match="forecast or next"):
            task("everything")

    @pytest.mark.parametrize("name", ["batch_size", "lr", "clip"])
    def test_numbers_that_are_not_positive(self, name):
        with pytest.raises(ValueError, match=f"'{name}' to be positive"):
            task(**{name: 0})

    def test_time_before_batch(self):
        with pytest.raises(ValueError, match="batch_first=True"):
            Forecasting(ODERNN("node", 2, 3, 2), SPLITS, "next")
