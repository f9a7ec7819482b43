"""Pictures and tables of image flows."""

from __future__ import annotations

from pathlib import Path

import torch

from grandpp.studies.flows.report import (
    cost_table,
    draw_flow_training,
    draw_samples,
    sheet,
    training_table,
)


def history(epochs: int) -> list[dict[str, float]]:
    return [
        {"epoch": n, "loss": 3 - n / 10, "bits_per_dim": 3.0, "nfe_forward": 14.0,
         "nfe_backward": 13.0, "seconds": 1.0}
        for n in range(1, epochs + 1)
    ]  # fmt: skip


def test_a_sheet_has_every_image_in_its_place() -> None:
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 2, 4)
    found = sheet(images, columns=3)
    assert found.shape == (4, 12, 3)
    assert found[::2, ::4, 0].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 0.0]]
    assert torch.equal(found[:2, :4, 1], images[0].permute(1, 2, 0)[..., 1])
    spaced = sheet(torch.ones(4, 1, 8, 8), columns=2)
    assert spaced.shape == (17, 17, 1)
    assert spaced[8].sum() == spaced[:, 8].sum() == 0
    assert spaced.sum() == 4 * 64


def test_pictures_are_drawn(tmp_path: Path) -> None:
    draw_flow_training(history(3), "digits", tmp_path / "training.png")
    for channels in (1, 3):
        images = torch.rand(6, channels, 8, 8)
        draw_samples(images, images, "samples", tmp_path / f"{channels}.png", columns=3)
    assert all(path.stat().st_size > 5_000 for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 3


def test_a_long_training_is_shown_in_about_ten_rows_with_the_last() -> None:
    lines = training_table(history(47)).splitlines()
    assert 10 <= len(lines) - 1 <= 13
    assert lines[-1].split()[0] == "47"
    assert len(training_table(history(2)).splitlines()) == 3


def test_a_failed_solver_is_a_row_of_dashes() -> None:
    good = {"solver": "dopri5 1e-05", "status": "success", "bits_per_dim": 2.5, "change": 0.001,
            "nfe_forward": 26, "nfe_training": 27, "nfe_backward": 28, "reconstruction": 1e-5,
            "seconds_forward": 0.1, "seconds_training": 0.2}  # fmt: skip
    bad = dict.fromkeys(good) | {"solver": "euler", "status": "stopped"}
    head, first, second = cost_table([good, bad]).splitlines()
    assert "bits/dim" in head
    assert first.split()[2:7] == ["2.5", "0.001", "26", "27", "28"]
    assert second.split() == ["euler", *["-"] * 8]
