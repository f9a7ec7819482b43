"""One JSON line per run, appended as it ends; a file is also the list of what is already done."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

import grandpp
from grandpp.data import split_digest
from grandpp.experiment.config import RunConfig
from grandpp.experiment.train import RunResult

Record = dict[str, Any]
KEY_FIELDS: tuple[str, ...] = (
    "dataset",
    "labels_per_class",
    "protocol",
    "model",
    "split",
    "seed",
    "config_hash",
)


def make_record(config: RunConfig, result: RunResult, data: Data, device: str) -> Record:
    """Return everything that repeats and explains a run, with stable field names."""
    head = {name: getattr(config, name) for name in KEY_FIELDS}
    return {
        **head,
        "split_digest": split_digest(data),
        **asdict(result),
        "device": device,
        "config": asdict(config),
        "versions": _versions(),
        "git_commit": _git_commit(),
    }


def append_record(path: Path, record: Record) -> None:
    """Append one line and force it to the disk, so that a crash cannot take it back."""
    line = (json.dumps(record, sort_keys=True) + "\n").encode()
    # One write to a file opened for appending: lines of two processes do not mix.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line)
        os.fsync(handle)
    finally:
        os.close(handle)


def read_records(path: Path) -> list[Record]:
    """Read a file of records; a last line cut short by a crash is dropped.

    Raises:
        ValueError: If any other line is not a record.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            record_key(record)
        except (ValueError, KeyError, TypeError):
            if number == len(lines):
                break
            raise ValueError(
                f"expected one JSON record per line in {path} (line {number} is none)"
            ) from None
        records.append(record)
    return records


def drop_torn_line(path: Path) -> None:
    """Cut off a last line that a crash left without its newline."""
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def record_key(record: Record) -> tuple[Any, ...]:
    """The key of a record, comparable with :attr:`RunConfig.key`."""
    return tuple(record[name] for name in KEY_FIELDS)


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
