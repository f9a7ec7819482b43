"""Train over epochs with checkpoints, for sequences and images."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from grandpp.solvers import SolveError
from grandpp.training.atomic_files import check_target, write_whole

Row = dict[str, float]
"""Measurements of one epoch by name."""

Settings = Mapping[str, str | int | float | bool | None]
"""Everything that decides the result of a training, by name."""

_PARTS = ("settings", "history", "model", "optimizer", "generator")


class Task(Protocol):
    """A model in training, with its optimiser and its data.

    All randomness comes from ``generator``, on the CPU, so that a checkpoint can keep it.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator

    def train_epoch(self, on_batch: Callable[[], object]) -> Row:
        """Take one pass over the training data; call ``on_batch`` after every step."""
        ...

    def evaluate(self) -> Row:
        """Measure on held-out data; parameters and generator stay as they are."""
        ...


@dataclass
class Fit:
    """The finished epochs of a training, and its status.

    Args:
        history: One row per epoch, with ``epoch`` (from 1) and ``seconds``.
        status: ``"success"``, or why it ended early.
    """

    history: list[Row] = field(default_factory=list)
    status: str = "success"


def fit(
    task: Task,
    epochs: int,
    settings: Settings,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    done: Fit | None = None,
    on_epoch: Callable[[Row], object] | None = None,
    on_batch: Callable[[], object] | None = None,
) -> Fit:
    """Train for a number of epochs; a checkpoint is written whole after each.

    Args:
        task: The model, its optimiser and its data.
        epochs: Epochs in all, those of a checkpoint included.
        settings: Every choice that decides the result but ``epochs``; a checkpoint with others is
            refused.
        checkpoint: File to write, and to go on from. (default: ``None``)
        resume: Go on from ``checkpoint`` if it exists; the result is that of a training that was
            never interrupted. (default: ``False``, a checkpoint that exists is replaced)
        done: Updated after every epoch, so that it is complete when the training is interrupted.
            (default: ``None``)
        on_epoch: Called with every new row. (default: ``None``)
        on_batch: Called after every step. (default: ``None``)

    Returns:
        The rows of all epochs; a solve that fails ends the training and is its status.

    Raises:
        ValueError: If the file is no checkpoint, belongs to another training or has more epochs.
    """
    done = Fit() if done is None else done
    if checkpoint is not None:
        check_target(checkpoint)
        if checkpoint.exists():
            kept = read_checkpoint(checkpoint)
            if resume:
                rows = restore(task, kept, settings, checkpoint)
                if len(rows) > epochs:
                    raise ValueError(
                        f"expected at least the {len(rows)} epochs of {checkpoint} (got {epochs})"
                    )
                done.history[:] = rows
    try:
        for epoch in range(len(done.history) + 1, epochs + 1):
            began = time.perf_counter()
            row = task.train_epoch(on_batch or _nothing)
            row["seconds"] = time.perf_counter() - began
            row = {"epoch": epoch, **row, **task.evaluate()}
            done.history.append(row)
            if checkpoint is not None:
                save_checkpoint(checkpoint, task, settings, done.history)
            if on_epoch is not None:
                on_epoch(row)
    except SolveError as error:
        done.status = str(error)
    return done


def _nothing() -> None:
    pass


def save_checkpoint(path: Path, task: Task, settings: Settings, history: list[Row]) -> None:
    """Write everything that the next epoch depends on, in one step."""
    buffer = io.BytesIO()
    torch.save(
        {
            "settings": dict(settings),
            "history": history,
            "model": task.model.state_dict(),
            "optimizer": task.optimizer.state_dict(),
            "generator": task.generator.get_state(),
        },
        buffer,
    )
    write_whole(path, buffer.getvalue())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a file that :func:`save_checkpoint` wrote.

    Raises:
        ValueError: If the file is no checkpoint.
    """
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
        return {name: found[name] for name in _PARTS}
    except OSError:
        raise
    except Exception as error:  # broken pickles raise anything, from IndexError to BadZipFile
        raise ValueError(f"expected a checkpoint in {path} (got another file)") from error


def restore(task: Task, found: Mapping[str, Any], settings: Settings, path: Path) -> list[Row]:
    """Restore a task from a checkpoint.

    Args:
        task: With the model, optimiser and generator that the checkpoint is of.
        found: The checkpoint.
        settings: Those of the task.
        path: Where it was read, for messages.

    Returns:
        The rows of its epochs.

    Raises:
        ValueError: If the checkpoint is one of other settings.
    """
    kept = found["settings"]
    other = sorted(k for k in {*kept, *settings} if kept.get(k) != settings.get(k))
    if other:
        differences = ", ".join(f"{k}={kept.get(k)} there, {settings.get(k)} here" for k in other)
        raise ValueError(f"expected a checkpoint of the same settings in {path} ({differences})")
    try:
        task.model.load_state_dict(found["model"])
        task.optimizer.load_state_dict(found["optimizer"])
        task.generator.set_state(found["generator"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"expected the parameters of this model in {path}") from error
    return list(found["history"])
