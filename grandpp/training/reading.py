"""Read record files, plain or compressed, without changing them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from grandpp.training.json_lines import from_json
from grandpp.training.records import KEY_FIELDS, Record

REQUIRED: tuple[str, ...] = ("test_accuracy", "last_test_accuracy", "val_accuracy")
"""What every record has, ``None`` where there is no such accuracy."""

METRICS: tuple[str, ...] = (*REQUIRED, "best_time_test_accuracy")
"""What can be compared."""

_INTEGERS = ("labels_per_class", "split", "seed")
_TEXTS = (*(name for name in KEY_FIELDS if name not in _INTEGERS), "split_digest")
_GZIP = b"\x1f\x8b"


def load_records(paths: Iterable[Path]) -> Iterator[Record]:
    """Yield the records of several files, JSON lines as they are or compressed by gzip.

    Unlike :func:`read_records` this mends nothing: a sweep may be appending to the file.

    Args:
        paths: Files, told apart by their first bytes and not by their names.

    Yields:
        Records in the order of the files, one in memory at a time.

    Raises:
        ValueError: If a file is empty, broken, or has a line that is no record of a run.
        OSError: If a file cannot be read.
    """
    for path in paths:
        number = 0
        try:
            for number, line in enumerate(_lines(path), start=1):
                yield _record(line, path, number)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"expected a whole gzip file at {path} ({error})") from None
        if number == 0:
            raise ValueError(f"expected records in {path} (the file is empty)")


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        if file.peek(2)[:2] != _GZIP:
            yield from file
            return
        with gzip.open(file) as unpacked:
            yield from unpacked


def _record(line: bytes, path: Path, number: int) -> Record:
    try:
        record = from_json(line)
    except ValueError:
        record = None
    if not _is_record(record):
        raise ValueError(f"expected one record of a run per line in {path} (line {number} is none)")
    return record


def _is_record(record: Any) -> bool:
    """Whether everything that a comparison reads is there and of its type."""
    if not isinstance(record, dict) or not isinstance(record.get("config", {}), dict):
        return False
    return (
        all(type(record.get(name)) is int for name in _INTEGERS)
        and all(isinstance(record.get(name), str) for name in _TEXTS)
        and all(name in record for name in REQUIRED)
        and all(_is_fraction(record.get(name)) for name in METRICS)
    )


def _is_fraction(value: object) -> bool:
    """Whether a value is an accuracy, or ``None`` for there is none (read so from NaN)."""
    return value is None or (isinstance(value, (int, float)) and 0 <= value <= 1)
