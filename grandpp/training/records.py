"""Records of trainings on graphs: their fields, and the key of a run."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import asdict, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

import grandpp
from grandpp.data import split_digest
from grandpp.training.record_file import Record, RecordFormat, read_file
from grandpp.training.result import RunResult
from grandpp.training.settings import Run

KEY_FIELDS: tuple[str, ...] = (
    "dataset",
    "labels_per_class",
    "protocol",
    "model",
    "split",
    "seed",
    "config_hash",
)
_ORIGIN = ("labels_chosen", "split_digest", "device", "config", "versions", "git_commit")
RUN_RECORDS = RecordFormat(
    key=KEY_FIELDS, optional=(*(field.name for field in fields(RunResult)), *_ORIGIN)
)
"""Format of what :func:`make_record` returns."""


def make_record(run: Run, result: RunResult, data: Data, device: str) -> Record:
    """Return the record of a run: choices, result, versions and origin, with stable field names."""
    return record_of(run, result, split_digest(data), device)


def record_of(run: Run, result: RunResult, digest: str, device: str) -> Record:
    """:func:`make_record` from the digest of a split."""
    head = {name: getattr(run, name) for name in KEY_FIELDS}
    return {
        **head,
        "labels_chosen": run.labels_chosen,
        "split_digest": digest,
        **asdict(result),
        "device": device,
        "config": run.choices(),
        "versions": _versions(),
        "git_commit": _git_commit(),
    }


def read_records(path: Path) -> list[Record]:
    """Read a file of records, also a compressed one, and change nothing.

    A last line without its newline counts if it is a whole record, and is skipped if it is the
    beginning of one: it was torn by a crash, or another process is writing it.

    Raises:
        ValueError: If any line is something else than a record.
    """
    return read_file(path, RUN_RECORDS)


def record_key(record: Record) -> tuple[Any, ...]:
    """The key of a record, comparable with :attr:`Run.key`."""
    return RUN_RECORDS.key_of(record)


def has_failed(record: Record) -> bool:
    """Whether a run failed: one on a split without test nodes succeeds without an accuracy."""
    without = "failed" if record["test_accuracy"] is None else "success"
    return record.get("status", without) != "success"


@cache
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "grandpp": grandpp.__version__}
    for name in ("torch", "torch-geometric", "torchdiffeq", "numpy", "scipy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


@cache
def _git_commit() -> str | None:
    """Commit of the checkout the package runs from; ``None`` for an installed package."""
    top = Path(grandpp.__file__).resolve().parents[1]
    if not (top / ".git").exists():
        return None
    command = ["git", "-C", str(top), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
