"""Compressed records for version control; repeated values are written once."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator
from typing import Any

from grandpp.training.json_lines import to_json
from grandpp.training.reading import REQUIRED
from grandpp.training.records import KEY_FIELDS, Record

# Written where they differ from the last record of the same configuration.
_REPEATED = ("config", "device", "git_commit", "versions")
_ROUNDED = {"nfe_forward": ".2f", "nfe_backward": ".2f", "seconds": ".2f", "energy": ".5e"}
_EXACT = (*KEY_FIELDS, "split_digest", *REQUIRED, "best_epoch")
_BEST_TIME = (
    "best_time",
    "best_time_epoch",
    "best_time_val_accuracy",
    "best_time_test_accuracy",
)
_FAILURE = ("status", "message")
_OLD_BATCH_SIZE = "together"  # name of "batch_size" in records of earlier versions


def pack_records(records: Iterable[Record]) -> bytes:
    """Write records as compressed JSON lines that :func:`grandpp.training.load_records` reads.

    Kept exactly: what names a run, its split and its accuracies. Rounded: evaluations, seconds
    and energy. Left out: memory, settings that are ``None``, the status ``"success"`` and a batch
    size of 1. Settings, versions, device and commit are written in the first record of a
    configuration and in those where they change; :func:`unpack_records` adds them to the others.

    Args:
        records: Records in any order; equal records give equal bytes.

    Returns:
        A gzip file without a time stamp.
    """
    last: dict[tuple[str, str], Any] = {}
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=9, mtime=0) as file:
        for record in sorted(records, key=_place):
            line = _slim(record)
            for name in _REPEATED:
                value = _repeated(record, name)
                place = (record["config_hash"], name)
                if last.get(place) != value and not (value is None and name == "config"):
                    line[name] = last[place] = value
            file.write((to_json(line, separators=(",", ":")) + "\n").encode())
    return packed.getvalue()


def unpack_records(records: Iterable[Record]) -> Iterator[Record]:
    """Complete packed records by the values that were written once.

    Args:
        records: Records in the order of their file.
    """
    last: dict[tuple[str, str], Any] = {}
    for record in records:
        full = dict(record)
        full.setdefault("batch_size", full.pop(_OLD_BATCH_SIZE, 1))
        for name in _REPEATED:
            place = (record["config_hash"], name)
            value = last[place] = record.get(name, last.get(place))
            if value is not None:
                full[name] = value
        full.setdefault("status", "success")
        yield full


def _place(record: Record) -> tuple[Any, ...]:
    order = ("dataset", "labels_per_class", "protocol", "split", "seed", "model", "config_hash")
    return tuple(record[name] for name in order)


def _slim(record: Record) -> Record:
    line = {name: record[name] for name in _EXACT if name in record}
    for name, form in _ROUNDED.items():
        if record.get(name) is not None:
            line[name] = float(format(record[name], form))
    if record.get("status", "success") != "success":
        line |= {name: record[name] for name in _FAILURE if name in record}
    line |= {name: record[name] for name in _BEST_TIME if record.get(name) is not None}
    size = record.get("batch_size", record.get(_OLD_BATCH_SIZE, 1))
    if size != 1:
        line["batch_size"] = size
    return line


def _repeated(record: Record, name: str) -> Any:
    value = record.get(name)
    if name != "config" or value is None:
        return value
    return {k: v for k, v in value.items() if v is not None and k not in ("split", "seed")}
