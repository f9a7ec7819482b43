"""Training of flows, and the comparison of solvers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from grandpp.studies.flows.costs import compare_solvers
from grandpp.studies.flows.settings import FlowSettings
from grandpp.studies.flows.training import FlowTask
from grandpp.training.checkpointed_training import fit

SETTINGS = {"dataset": "digits"}


def images(count: int = 60) -> torch.Tensor:
    """Blobs whose place varies."""
    generator = torch.Generator().manual_seed(0)
    centre = 2 + 3 * torch.rand(count, 2, 1, 1, generator=generator)
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    distance = (rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2
    return ((-distance / 3).exp() * 16).round().unsqueeze(1) / 16


def task(solver: str = "prox_bdf2") -> FlowTask:
    flow = FlowSettings(solver=solver, architecture="dense").build()
    return FlowTask(flow, images()[:50], images()[50:], lr=0.01, batch_size=25)


def test_an_interrupted_training_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    whole = task()
    rows = fit(whole, 3, SETTINGS).history
    path = tmp_path / "flow.pt"
    fit(task(), 2, SETTINGS, checkpoint=path)
    rest = task()
    resumed = fit(rest, 3, SETTINGS, checkpoint=path, resume=True).history
    for one, other in zip(rows, resumed, strict=True):
        del one["seconds"], other["seconds"]
        assert one == other
    for name, value in whole.flow.state_dict().items():
        assert torch.equal(value, rest.flow.state_dict()[name]), name
    assert rest.optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * 0.97**3)


def test_the_loss_falls_and_evaluations_are_counted() -> None:
    history = fit(task("dopri5"), 6, SETTINGS).history
    assert history[-1]["loss"] < history[0]["loss"] - 0.05
    assert history[-1]["bits_per_dim"] < history[0]["bits_per_dim"] - 0.05
    assert all(row["nfe_forward"] >= 14 and row["nfe_backward"] >= 13 for row in history)


def test_an_evaluation_changes_nothing() -> None:
    one = task()
    before = one.generator.get_state()
    assert one.evaluate() == one.evaluate()
    assert torch.equal(one.generator.get_state(), before)


def test_solvers_are_compared_on_the_same_draws() -> None:
    one = task()
    fit(one, 3, SETTINGS)
    solvers = {
        "exact": FlowSettings(solver="dopri5", tol=1e-6).build_solver(),
        "loose": FlowSettings(solver="dopri5", tol=1e-5).build_solver(),
        "implicit": FlowSettings(solver="prox_bdf2", inner_tol=1e-4).build_solver(),
        "broken": FlowSettings(solver="euler", step_size=1e-5).build_solver(),
    }
    object.__setattr__(solvers["broken"], "max_nfe", 10)
    exact, loose, implicit, broken = compare_solvers(one.flow, one.test, solvers)
    assert exact.change == 0
    assert 0 < loose.change < 1e-4
    assert 1e-6 < implicit.change < 0.01
    assert exact.bits_per_dim is not None
    assert implicit.nfe_forward < exact.nfe_forward
    assert implicit.nfe_training == implicit.nfe_forward
    assert implicit.nfe_backward > 0
    assert exact.reconstruction is not None
    assert exact.reconstruction < 1e-4
    assert broken.bits_per_dim is None
    assert "10 evaluations" in broken.status
    assert all(p.grad is None for p in one.flow.parameters())
