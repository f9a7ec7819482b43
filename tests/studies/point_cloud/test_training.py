"""Training of point-cloud classifiers: repeatable, counted, and ended by a failed solve."""

from __future__ import annotations

import torch

from grandpp.image import point_cloud
from grandpp.studies.point_cloud.training import train_point_cloud


def test_training_lowers_the_loss_repeats_itself_and_counts():
    run = train_point_cloud("anode", 1, 6, tolerance=1e-3)
    again = train_point_cloud("anode", 1, 2, tolerance=1e-3)
    assert run.loss[:2] == again.loss
    assert train_point_cloud("anode", 2, 1, tolerance=1e-3).loss[0] != run.loss[0]
    assert run.status == "success"
    assert run.final_loss < run.loss[0] - 0.05
    assert len(run.loss) == len(run.nfe_forward) == len(run.nfe_backward) == 6
    assert min(run.nfe_backward) > 0
    assert len(run.snapshots) == 6
    assert len(run.snapshots[0]) == 120
    torch.testing.assert_close(
        torch.tensor(run.snapshots[0]), point_cloud(1)[0].float(), atol=1e-4, rtol=0
    )


def test_momenta_do_not_saturate_while_the_output_finds_the_mean_target():
    # With a bias drawn at random this run is lost: it keeps a loss of 0.87.
    assert train_point_cloud("ghbnode", 1, 22, tolerance=1e-2, gradient="direct").final_loss < 0.75


def test_a_failed_solve_ends_a_run_with_its_reason():
    run = train_point_cloud("node", 0, 20, lr=1e9, tolerance=1e-3)
    assert run.status != "success"
    assert run.final_loss is None
    assert len(run.loss) < 20
