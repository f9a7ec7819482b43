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
    """Read a file of records and mend an end that a crash left behind.

    A last line without its newline is completed if it is a whole record, and cut off if it is the
    beginning of one; nothing else is ever changed.

    Raises:
        ValueError: If any line is something else than a record.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    *lines, last = content.split(b"\n")
    records = [_parse(line, path, n) for n, line in enumerate(lines, start=1) if line.strip()]
    if not last.strip():
        return records
    try:
        records.append(_parse(last, path, len(lines) + 1))
    except ValueError:
        if not last.startswith(_OPENING):
            raise
        os.truncate(path, len(content) - len(last))
    else:
        with path.open("ab") as file:
            file.write(b"\n")
    return records


# Keys are written in alphabetical order, so every record of a run begins like this.
_OPENING = b'{"best_epoch"'


def _parse(line: bytes, path: Path, number: int) -> Record:
    try:
        record = json.loads(line)
        record_key(record)
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"expected one JSON record per line in {path} (line {number} is none)"
        ) from None
    return record


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
