"""Training with checkpoints: an interrupted one ends where an undisturbed one does."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from grandpp.solvers import solve
from grandpp.training.checkpointed_training import (
    Fit,
    Row,
    fit,
    read_checkpoint,
    restore,
    save_checkpoint,
)

SETTINGS = {"lr": 0.1, "model": "line"}


class Line:
    """A line through noisy points; Adam's moments and the generator matter."""

    def __init__(self, fail_at: int | None = None, size: int = 1) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Linear(size, 1)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.generator = torch.Generator().manual_seed(3)
        self.epochs, self.fail_at = 0, fail_at

    def train_epoch(self, on_batch: Callable[[], object]) -> Row:
        self.epochs += 1
        if self.epochs == self.fail_at:
            solve(lambda t, y: y * y, torch.ones(1), (0.0, 2.0), max_nfe=100)
        x = torch.randn(8, 1, generator=self.generator)
        self.optimizer.zero_grad()
        loss = (self.model(x) - 2 * x).square().mean()
        loss.backward()
        self.optimizer.step()
        on_batch()
        return {"loss": float(loss.detach())}

    def evaluate(self) -> Row:
        return {"slope": float(next(self.model.parameters()).detach())}


class Killed(Exception):
    """Stands for a process that ends."""


def without_seconds(history: list[Row]) -> list[Row]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def test_an_interrupted_training_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    whole = fit(Line(), 6, SETTINGS)
    path = tmp_path / "line.pt"

    def kill(row: Row) -> None:
        if row["epoch"] == 4:
            raise Killed

    seen = Fit()
    with pytest.raises(Killed):
        fit(Line(), 6, SETTINGS, checkpoint=path, done=seen, on_epoch=kill)
    assert without_seconds(seen.history) == without_seconds(whole.history[:4])
    rest = Line()
    seen = Fit()
    resumed = fit(rest, 6, SETTINGS, checkpoint=path, resume=True, done=seen)
    assert resumed is seen
    assert rest.epochs == 2
    assert without_seconds(resumed.history) == without_seconds(whole.history)
    assert [row["epoch"] for row in resumed.history] == [1, 2, 3, 4, 5, 6]


def test_without_resume_the_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "line.pt"
    fit(Line(), 3, SETTINGS, checkpoint=path)
    task = Line()
    fit(task, 1, SETTINGS, checkpoint=path)
    assert task.epochs == 1
    assert len(read_checkpoint(path)["history"]) == 1


def test_a_failed_solve_ends_the_training_and_keeps_what_was_done(tmp_path: Path) -> None:
    path = tmp_path / "line.pt"
    done = fit(Line(fail_at=3), 6, SETTINGS, checkpoint=path)
    assert len(done.history) == 2
    assert "stopped at t" in done.status
    assert len(read_checkpoint(path)["history"]) == 2


def test_batches_and_epochs_are_told() -> None:
    batches: list[int] = []
    rows: list[Row] = []
    done = fit(Line(), 3, SETTINGS, on_epoch=rows.append, on_batch=lambda: batches.append(1))
    assert len(batches) == 3
    assert rows == done.history
    assert done.status == "success"


class TestRefusals:
    def test_other_settings(self, tmp_path: Path) -> None:
        path = tmp_path / "line.pt"
        fit(Line(), 1, SETTINGS, checkpoint=path)
        with pytest.raises(ValueError, match=r"same settings .*lr=0\.1 there, 0\.2 here"):
            fit(Line(), 2, {**SETTINGS, "lr": 0.2}, checkpoint=path, resume=True)

    def test_fewer_epochs_than_done(self, tmp_path: Path) -> None:
        path = tmp_path / "line.pt"
        fit(Line(), 2, SETTINGS, checkpoint=path)
        with pytest.raises(ValueError, match="at least the 2 epochs"):
            fit(Line(), 1, SETTINGS, checkpoint=path, resume=True)

    def test_parameters_of_another_model(self, tmp_path: Path) -> None:
        path = tmp_path / "line.pt"
        save_checkpoint(path, Line(size=2), SETTINGS, [])
        with pytest.raises(ValueError, match="parameters of this model"):
            restore(Line(), read_checkpoint(path), SETTINGS, path)

    def test_a_folder_that_is_missing(self, tmp_path: Path) -> None:
        task = Line()
        with pytest.raises(ValueError, match="existing folder"):
            fit(task, 1, SETTINGS, checkpoint=tmp_path / "none" / "line.pt")
        assert task.epochs == 0

    @pytest.mark.parametrize("resume", [True, False])
    @pytest.mark.parametrize("content", [b"", b"text", pickle.dumps([1]), b"PK\x03\x04broken"])
    def test_another_file(self, tmp_path: Path, content: bytes, resume: bool) -> None:
        path = tmp_path / "line.pt"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="expected a checkpoint"):
            fit(Line(), 1, SETTINGS, checkpoint=path, resume=resume)
        assert path.read_bytes() == content

    def test_code_in_a_file_is_not_run(self, tmp_path: Path) -> None:
        class Evil:
            def __reduce__(self) -> tuple[object, tuple[str, str]]:
                return (Path.write_text, (tmp_path / "owned", "x"))

        path = tmp_path / "line.pt"
        torch.save({"settings": {}, "history": Evil()}, path)
        with pytest.raises(ValueError, match="expected a checkpoint"):
            fit(Line(), 1, SETTINGS, checkpoint=path, resume=True)
        assert not (tmp_path / "owned").exists()
