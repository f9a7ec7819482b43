"""One run of an image classifier: its training, its record, and how that is read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from image_records_of import config, record, row
from torch import nn

from grandpp.studies.images.runs import IMAGE_RECORDS, check_folder, check_images, train_images
from grandpp.training.checkpointed_training import Row
from grandpp.training.record_file import RecordFile


def test_records_are_found_again_by_their_settings(tmp_path):
    path = tmp_path / "runs.jsonl"
    settings = {"tolerances": (1e-3, 1e-4)}
    rows = [record(seed=seed, **settings) for seed in (0, 1)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    file = RecordFile(path, IMAGE_RECORDS)
    assert file.find(asdict(config(seed=1, **settings)))["seed"] == 1
    assert file.find(asdict(config(seed=1))) is None
    assert rows[0]["seconds"] == 4.0


def test_runs_on_other_images_of_the_same_name_do_not_come_into_one_file():
    known = [record(), record(train=16)]
    check_images(known, config(), "made up")
    check_images(known, config(train=8), "others")
    check_images([], config(), "others")
    for settings in ({}, {"train": 16}):
        with pytest.raises(ValueError, match=r"in the file, made up \(got others\)"):
            check_images(known, config(**settings), "others")


@pytest.mark.parametrize("line", ["my notes", "{}", "[1]", '{"model": "node"}'])
def test_a_file_of_something_else_is_refused(tmp_path, line):
    path = tmp_path / "notes.txt"
    path.write_text(json.dumps(record()) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=r"notes.txt:2: not a valid record"):
        RecordFile(path, IMAGE_RECORDS)
    with pytest.raises(ValueError, match="existing folder"):
        RecordFile(tmp_path / "none" / "runs.jsonl", IMAGE_RECORDS)


class Steps:
    """Three steps per epoch that count themselves in a parameter."""

    def __init__(self) -> None:
        self.model: nn.Module = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1.0)
        self.generator = torch.Generator()
        self.steps = 0

    def train_epoch(self, on_batch: Callable[[], object]) -> Row:
        for _ in range(3):
            self.optimizer.zero_grad()
            (-self.model.weight).sum().backward()
            self.optimizer.step()
            self.steps += 1
            on_batch()
        return {k: v for k, v in row(1, 0.5).items() if k != "epoch"}

    def evaluate(self) -> Row:
        return {"weight": float(self.model.weight.detach())}


def test_the_bar_ends_full_also_after_a_resumption(tmp_path, capsys):
    options = {"batches": 3, "images": "made up", "checkpoints": tmp_path}
    whole = train_images(config(epochs=4), Steps(), **options)
    assert whole.history[-1]["weight"] == 12
    shown = capsys.readouterr()
    assert "12/12" in shown.err and "accuracy=50.0%" in shown.err and "nfe=20+30" in shown.err
    assert shown.out == ""
    task = Steps()
    rest = train_images(config(epochs=6), task, resume=True, **options)
    assert (task.steps, rest.history[-1]["weight"]) == (6, 18)
    assert "18/18" in capsys.readouterr().err
    train_images(config(epochs=4), Steps(), batches=3, images="made up", show=False)
    assert capsys.readouterr().err == ""


def test_every_run_has_a_checkpoint_of_its_own_and_refuses_others(tmp_path):
    options = {"batches": 3, "checkpoints": tmp_path, "show": False}
    changes = (
        {"seed": 1}, {"model": "hbnode"}, {"tolerance": 1e-5}, {"lr": 0.1}, {"batch_size": 8},
        {"train": 9}, {"test": 9}, {"augment": True}, {"amp": True}, {"dataset": "mnist"},
    )  # fmt: skip
    for change in ({}, *changes):
        train_images(config(**change), Steps(), images="made up", **options)
    assert len(list(tmp_path.iterdir())) == 1 + len(changes)
    with pytest.raises(ValueError, match=r"images=made up there, others here"):
        train_images(config(), Steps(), images="others", resume=True, **options)


def test_a_folder_is_made_and_anything_else_refused(tmp_path):
    check_folder(None)
    check_folder(tmp_path / "new")
    check_folder(tmp_path / "new")
    assert (tmp_path / "new").is_dir()
    (tmp_path / "file").touch()
    for bad in ("file", "none/new"):
        with pytest.raises(ValueError, match="expected a folder"):
            check_folder(tmp_path / bad)
