"""Read record files, plain or compressed, without changing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from grandpp.training.record_file import read_lines
from grandpp.training.records import KEY_FIELDS, RUN_RECORDS, Record

REQUIRED: tuple[str, ...] = ("test_accuracy", "last_test_accuracy", "val_accuracy")
"""Accuracies that every record has, ``None`` where one does not exist."""

METRICS: tuple[str, ...] = (*REQUIRED, "best_time_test_accuracy")
"""Accuracies that can be compared."""

_INTEGERS = ("labels_per_class", "split", "seed")
_TEXTS = (*(name for name in KEY_FIELDS if name not in _INTEGERS), "split_digest")


def load_records(paths: Iterable[Path]) -> Iterator[Record]:
    """Yield the records of several files, JSON lines as they are or compressed by gzip.

    The files are only read. A torn last line, which :func:`read_records` skips, is an error.

    Args:
        paths: Files; their first bytes show whether they are compressed, not their names.

    Yields:
        Records in the order of the files, one in memory at a time.

    Raises:
        ValueError: If a file is empty, broken, or has a line that is no record of a run.
        OSError: If a file cannot be read.
    """
    for path in paths:
        number = 0
        for number, line in enumerate(read_lines(path), start=1):
            record = RUN_RECORDS.parse(line, path, number)
            if not _is_record(record):
                raise ValueError(f"{path}:{number}: not a valid record")
            yield record
        if number == 0:
            raise ValueError(f"expected records in {path} (the file is empty)")


def _is_record(record: Record) -> bool:
    """Whether all fields that a comparison reads exist and have their type."""
    if not isinstance(record.get("config", {}), dict):
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
