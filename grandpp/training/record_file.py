"""Files of records, one JSON line per run: append, lock, repair a torn line, resume, read.

Every study keeps its results in such a file. Studies differ in the :class:`RecordFormat`: the
fields that tell runs apart, and the others that a record has.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from grandpp.training.json_lines import from_json, to_json

Record = dict[str, Any]

_GZIP = b"\x1f\x8b"
# Endings of the formats of matplotlib, which is slow to import.
PICTURES = (
    ".avif", ".eps", ".gif", ".jpeg", ".jpg", ".pdf", ".pgf", ".png", ".ps", ".raw", ".rgba",
    ".svg", ".svgz", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Endings of pictures: a picture saved under the name of the records would replace them."""
_FIRST_NAME = re.compile(rb'\{"([^"\\]*)("?)')


@dataclass(frozen=True)
class RecordFormat:
    """The records of one study.

    Args:
        key: Fields that tell runs apart.
        required: Further fields of every record.
        optional: Fields of some records.
        earlier: Values of fields that the lines of older versions do not have.
    """

    key: tuple[str, ...]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    earlier: Mapping[str, Any] = field(default_factory=dict)

    def key_of(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The key of a record or of settings; several values in one field count as a whole.

        Raises:
            KeyError: If a field is missing.
        """
        found = (values[name] for name in self.key)
        return tuple(tuple(v) if isinstance(v, list | tuple) else v for v in found)

    def parse(self, line: bytes, path: Path, number: int) -> Record:
        """Turn a line into a record.

        Args:
            line: The line.
            path: Its file, for the message.
            number: Its number, from 1, for the message.

        Raises:
            ValueError: If it is something else.
        """
        try:
            record = {**self.earlier, **from_json(line)}
            hash(self.key_of(record))
            record = _with_nan(record)
            complete = record.keys() >= set(self.required)
        except (ValueError, KeyError, TypeError, AttributeError):
            complete = False
        if not complete:
            raise ValueError(f"{path}:{number}: not a valid record")
        return record

    def begins(self, line: bytes) -> bool:
        """Whether a line without its newline may be the beginning of a record of this format.

        One name decides: the first name in the line, as far as it is there, must be that of a
        field. Which field comes first does not matter.
        """
        if line == b"{":
            return True
        start = _FIRST_NAME.match(line)
        if start is None or _is_object(line):
            return False
        text, closed = start[1].decode(errors="replace"), bool(start[2])
        names = (*self.key, *self.required, *self.optional)
        return any(name == text if closed else name.startswith(text) for name in names)


class RecordFile:
    """Records by their key, and the file behind them, which several processes may share.

    Every key enters the file once: before a record is appended, the lines that others have
    appended since are read, under the lock that every writer holds. Reading alone takes no lock:
    it stops at the last newline, and what ends in one never changes again.

    Args:
        path: The file, created with the first record; ``None`` keeps the records in memory.
        form: Of its records.

    Attributes:
        records: The records known, by :meth:`RecordFormat.key_of`; the first of a run counts.

    Raises:
        ValueError: If the folder does not exist, the file is a compressed one, has the ending of a
            picture or holds something else than records.
    """

    def __init__(self, path: Path | None, form: RecordFormat) -> None:
        self.path, self.form = path, form
        self.records: dict[tuple[Any, ...], Record] = {}
        self._offset = self._lines = 0
        if path is None:
            return
        if path.suffix == ".gz":
            raise ValueError(f"expected a file to append to, not a compressed one (got {path})")
        if path.suffix.lower() in PICTURES:
            raise ValueError(f"expected a file of records, not a picture (got {path})")
        if not path.parent.is_dir():
            raise ValueError(f"expected an existing folder for {path} (got none at {path.parent})")
        self.refresh()
        if path.exists() and path.stat().st_size > self._offset:
            read_file(path, form)  # refuses a foreign file before anything touches it
            with locked(path):
                repair_last_line(path)
            self.refresh()

    def refresh(self) -> None:
        """Read the lines appended since the last time.

        Raises:
            ValueError: If one is something else than a record.
        """
        if self.path is None or not self.path.exists():
            return
        if self.path.stat().st_size < self._offset:  # somebody replaced the file
            self._offset = self._lines = 0
        with self.path.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        for number, line in enumerate(lines, start=self._lines + 1):
            if line.strip():
                record = self.form.parse(line, self.path, number)
                self.records.setdefault(self.form.key_of(record), record)
        self._offset += len(whole)
        self._lines += len(lines)

    def find(self, settings: Mapping[str, Any]) -> Record | None:
        """The record of the run with these settings, ``None`` if it has none.

        Args:
            settings: With at least the fields of the key.
        """
        return self.records.get(self.form.key_of(settings))

    def add(self, record: Record) -> bool:
        """Append a record; ``False``, and nothing is written, if its run is in the file by now.

        Raises:
            ValueError: If the file holds something else than records by now.
            OSError: If the record cannot be written.
        """
        key = self.form.key_of(record)
        if self.path is None:
            return self.records.setdefault(key, record) is record
        with locked(self.path):
            repair_last_line(self.path)
            self.refresh()
            if key in self.records:
                return False
            _write_line(self.path, record)
            self.refresh()
        return True


def append_record(path: Path, record: Record) -> None:
    """Append one line and force it to the disk, so that a crash cannot take it back.

    Processes may append to one file at once: a lock next to it (``<path>.lock``, empty, released
    by the system when its holder dies) keeps their lines apart.

    Raises:
        ValueError: If the file ends in something else than a JSON object.
        OSError: If the line cannot be written whole; the file is then as before.
    """
    with locked(path):
        repair_last_line(path)
        _write_line(path, record)


def read_file(path: Path, form: RecordFormat) -> list[Record]:
    """Read all records of a file, also of a compressed one, and change nothing.

    A last line without its newline counts if it is a whole record, and is skipped if it is the
    beginning of one: it was torn by a crash, or another process is writing it.

    Args:
        path: The file; one that does not exist has no records.
        form: Of its records.

    Raises:
        ValueError: If any line is something else than a record.
    """
    records = []
    for number, line in enumerate(read_lines(path) if path.exists() else (), start=1):
        if line.strip() and (line.endswith(b"\n") or not form.begins(line)):
            records.append(form.parse(line, path, number))
    return records


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file with their newlines, unpacked if gzip compressed it.

    Args:
        path: The file; its first bytes show whether it is compressed, not its name.

    Raises:
        ValueError: If the compressed file is not whole.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        if file.peek(2)[:2] != _GZIP:
            yield from file
            return
        try:
            with gzip.open(file) as unpacked:
                yield from unpacked
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"expected a whole gzip file at {path} ({error})") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock under which alone a file of records is changed."""
    with FileLock(f"{path}.lock").acquire(poll_interval=0.005):
        yield


def repair_last_line(path: Path) -> None:
    """Complete or cut off a last line without its newline; the caller holds the lock.

    Every writer holds the lock, so such a line was left by a killed process and is not being
    written. A whole record gets its newline; the beginning of one is cut off.

    Raises:
        ValueError: If the line is no JSON object nor the beginning of one.
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
            raise ValueError(f"{path}: the last line is not a valid record")


def _write_line(path: Path, record: Record) -> None:
    """Append one line, with null in place of NaN and infinities; the caller holds the lock."""
    line = (to_json(record) + "\n").encode()
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


def _with_nan(record: Record) -> Record:
    """Read null in the measurements of epochs as NaN; it stands for a NaN or an infinity."""
    history = record.get("history")
    if not isinstance(history, list):
        return record
    rows = [{k: math.nan if v is None else v for k, v in row.items()} for row in history]
    return record | {"history": rows}
