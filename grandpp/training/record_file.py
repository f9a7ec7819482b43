"""The record file of a sweep: which runs are done, by this process or by another one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grandpp.training.records import (
    Record,
    locked,
    parse_lines,
    read_records,
    record_key,
    repair_last_line,
    write_line,
)


class RecordFile:
    """Records by their key, and the file behind them, which several processes may share.

    Every key enters the file once: before a record is appended, the lines that others have
    appended since are read, under the lock that every writer holds. Reading alone takes no lock:
    it stops at the last newline, and what ends in one never changes again.

    Args:
        path: The file, created with the first record; ``None`` keeps the records in memory.

    Attributes:
        records: The records known, by :func:`record_key`; the first of a run counts.

    Raises:
        ValueError: If the folder does not exist, the file is a compressed one or holds something
            else than records.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.records: dict[tuple[Any, ...], Record] = {}
        self._offset = self._lines = 0
        if path is None:
            return
        if path.suffix == ".gz":
            raise ValueError(f"expected a file to append to, not a compressed one (got {path})")
        if not path.parent.is_dir():
            raise ValueError(f"expected an existing folder for {path} (got none at {path.parent})")
        self.refresh()
        if path.exists() and path.stat().st_size > self._offset:
            read_records(path)  # refuses a foreign file before anything touches it
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
        self._keep(parse_lines(lines, self.path, self._lines + 1))
        self._offset += len(whole)
        self._lines += len(lines)

    def add(self, record: Record) -> bool:
        """Append a record; ``False``, and nothing is written, if its run is in the file by now.

        Raises:
            ValueError: If the file holds something else than records by now.
            OSError: If the record cannot be written.
        """
        key = record_key(record)
        if self.path is None:
            return self.records.setdefault(key, record) is record
        with locked(self.path):
            repair_last_line(self.path)
            self.refresh()
            if key in self.records:
                return False
            write_line(self.path, record)
            self.refresh()
        return True

    def _keep(self, records: Iterable[Record]) -> None:
        for record in records:
            self.records.setdefault(record_key(record), record)
