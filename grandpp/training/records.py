"""One JSON line per run: make, append, lock, repair and read records."""

from __future__ import annotations

import gzip
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock
from torch_geometric.data import Data

import grandpp
from grandpp.data import split_digest
from grandpp.training.config import RunConfig
from grandpp.training.json_lines import from_json, to_json
from grandpp.training.result import RunResult

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
    """Append one line and force it to the disk, so that a crash cannot take it back.

    Processes may append to one file at once: a lock next to it (``<path>.lock``, empty, released
    by the system when its holder dies) keeps their lines apart.

    Raises:
        ValueError: If the file ends in something else than a JSON object.
        OSError: If the line cannot be written whole; the file is then as before.
    """
    with locked(path):
        write_line(path, record)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock under which alone a file of records is changed."""
    with FileLock(f"{path}.lock").acquire(poll_interval=0.005):
        yield


def write_line(path: Path, record: Record) -> None:
    """Append one line, with null in place of NaN and infinities; the caller holds the lock."""
    line = (to_json(record) + "\n").encode()
    repair_last_line(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    before = os.fstat(handle).st_size
    try:
        while line:
            line = line[os.write(handle, line) :]
        os.fsync(handle)
    except OSError:  # a full disk takes half a line
        os.ftruncate(handle, before)
        raise
    finally:
        os.close(handle)


def repair_last_line(path: Path) -> None:
    """Complete or cut off a last line without its newline; the caller holds the lock.

    Whoever writes holds the lock, so such a line is what a killed process left, not what a living
    one is writing. A whole record gets its newline; the beginning of one is cut off.
    """
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = _last_line(file)
        if not content:
            return
        if _is_object(content):
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
        elif content.startswith(b"{"):
            file.truncate(file.seek(0, os.SEEK_END) - len(content))
        else:
            raise ValueError(f"expected one JSON object per line in {path} (its last is none)")


def _last_line(file: BinaryIO) -> bytes:
    """What follows the last newline."""
    size = file.seek(0, os.SEEK_END)
    content = b""
    while size and b"\n" not in content:
        step = min(size, 2**16)
        size = file.seek(size - step)
        content = file.read(step) + content
    return content[content.rfind(b"\n") + 1 :]


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(from_json(line), dict)
    except ValueError:
        return False


def read_records(path: Path) -> list[Record]:
    """Read a file of records, also a compressed one (``.gz``), and change nothing.

    A last line without its newline counts if it is a whole record, and is passed over if it is
    the beginning of one: it was torn by a crash, or another process is writing it.

    Raises:
        ValueError: If any line is something else than a record.
    """
    if not path.exists():
        return []
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        *lines, last = file.read().split(b"\n")
    records = parse_lines(lines, path)
    torn = any(start.startswith(last[: len(start)]) for start in _OPENINGS)
    if last.strip() and (_is_object(last) or not torn):
        records += parse_lines([last], path, len(lines) + 1)
    return records


# Keys are written in alphabetical order: beginnings of records of this and of earlier versions.
_OPENINGS = (b'{"batch_size"', b'{"best_epoch"')


def parse_lines(lines: Iterable[bytes], path: Path, first: int = 1) -> list[Record]:
    """Turn lines into records; empty ones are passed over.

    Args:
        lines: The lines.
        path: Their file, for the message.
        first: Number of the first line, for the message. (default: ``1``)

    Raises:
        ValueError: If a line is something else than a record.
    """
    return [_parse(line, path, n) for n, line in enumerate(lines, start=first) if line.strip()]


def _parse(line: bytes, path: Path, number: int) -> Record:
    try:
        record = from_json(line)
        record_key(record)
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"expected one JSON record per line in {path} (line {number} is none)"
        ) from None
    return record


def record_key(record: Record) -> tuple[Any, ...]:
    """The key of a record, comparable with :attr:`RunConfig.key`."""
    return tuple(record[name] for name in KEY_FIELDS)


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
