"""Tables with ids, numbers and words: delimited text and Parquet, with the line of every row."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grandpp.data.errors import GraphFileError
from grandpp.data.graph_files.ids import Factor, factor_of
from grandpp.data.graph_files.raw import PARQUET, kind_of, read_content, read_text

_BLANKS = r"\s+"
# Integers that Python would print otherwise: 007, +7, -0.  As text they are other ids than 7 and 0.
_UNUSUAL_INTEGER = re.compile(rb'(?m)(?:^|[\s,;|"])(?:\+[0-9]|-?0[0-9]|-0)')
_DECIMAL_COMMA = r"[+-]?[0-9]+(?:,[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_THOUSANDS = r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+"
_NUMBERS = {"true": 1.0, "false": 0.0}
MISSING_WORDS = frozenset(
    (
        "?",
        "NA",
        "N/A",
        "#N/A",
        "#NA",
        "<NA>",
        "n/a",
        "NaN",
        "nan",
        "-NaN",
        "-nan",
        "NULL",
        "null",
        "None",
    )
)
"""What stands for a missing value, besides an empty cell."""


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of a file by their positions.

    Args:
        path: The file, for messages.
        names: Names of the columns, empty where there is no header.
        frame: The cells, with columns 0, 1, ...; empty cells are missing values.
        where: File and line of a row, for messages.
        reread: The cells of a column as they are written.
    """

    path: Path
    names: list[str]
    frame: pd.DataFrame
    where: Callable[[int], str]
    reread: Callable[[int], pd.Series]

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.frame.shape[1])

    def name(self, column: int) -> str:
        """How messages call a column."""
        named = bool(self.names) and bool(self.names[column])
        return repr(self.names[column]) if named else f"number {column + 1}"

    def factor(self, column: int, what: str | None = None) -> Factor:
        """The distinct values of a column.

        Args:
            column: Its position.
            what: What each cell has to hold, in words; ``None`` if a cell may be empty.

        Raises:
            GraphFileError: A cell is empty and may not be.
        """
        cells = self.frame[column]
        if not (cells.dtype.kind in "iu" or _is_text(cells)):
            cells = self.reread(column)
        found = factor_of(cells)
        empty = found.codes < 0
        if what is not None and empty.any():
            raise GraphFileError(
                f"{self.where(int(empty.argmax()))}: expected {what} (got an empty cell)"
            )
        return found

    def numbers(self, column: int, what: str, *, fill: bool = False) -> NDArray[np.float64]:
        """A column of finite numbers.

        Args:
            column: Its position.
            what: What each cell has to hold, in words.
            fill: Whether a missing value may well be replaced, which the message says.

        Raises:
            GraphFileError: A cell holds anything else.
        """
        cells = self.frame[column]
        found = as_numbers(cells)
        wrong = ~np.isfinite(found)
        if wrong.any():
            row = int(wrong.argmax())
            cell = self.reread(column).iloc[row] if cells.dtype.kind == "f" else cells.iloc[row]
            got = "an empty cell" if pd.isna(cell) else f"'{cell}'"
            kind = "a number" if pd.isna(cell) or np.isnan(found[row]) else "a finite number"
            hint = self.fill_hint(column, row) if fill else ""
            raise GraphFileError(f"{self.where(row)}: expected {kind} as {what} (got {got}){hint}")
        return found

    def fill_hint(self, column: int, row: int) -> str:
        """What to do about missing values in a column, or nothing if that of ``row`` is none."""
        words = self.reread(column).astype(object)
        missing = (words.isna() | words.astype(str).str.strip().isin(MISSING_WORDS)).to_numpy()
        return fill_hint(int(missing.sum()), missing.size) if missing[row] else ""


def fill_hint(missing: int, values: int) -> str:
    """What to do about missing features, in words that follow those of the error."""
    return (
        f"; {missing:,} of {values:,} values are missing: replace them, for example by the mean "
        "of the column, or leave the column out"
    )


def as_numbers(cells: pd.Series) -> NDArray[np.float64]:
    """Numbers of a column, NaN where a cell holds none; true and false count as 1 and 0."""
    if cells.dtype.kind in "iufb":
        return cells.to_numpy(dtype=np.float64, na_value=np.nan)
    words = cells.astype(object)
    found = pd.to_numeric(words, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    truth = words.astype(str).str.lower().map(_NUMBERS).to_numpy(dtype=np.float64)
    return np.where(np.isnan(found), truth, found)


def read_table(path: Path, is_header: Callable[[list[str], list[str]], bool]) -> Table:
    """Read a delimited text file (``.gz`` too) or a Parquet file.

    The delimiter of text is found from its first line: comma, tab, semicolon, ``|`` or blanks.

    Args:
        path: The file.
        is_header: Whether the first of two lines of cells is a header; never asked for Parquet.

    Raises:
        GraphFileError: The file is missing, empty, not UTF-8, or a row has another number of cells.
    """
    if kind_of(path) in PARQUET:
        return _read_parquet(path)
    content = read_text(path)
    delimiter = _delimiter(content, kind_of(path))
    first, *rest = _first_rows(content, delimiter)
    names: list[str] = []
    if is_header([c.strip() for c in first], [c.strip() for c in rest[0]] if rest else []):
        names = [cell.strip() for cell in first]
        start = re.search(rb"[^\s][^\n]*", content)
        if start is not None:  # an empty line keeps the numbers of the others
            content = content[: start.start()] + content[start.end() :]
        if not rest:
            raise GraphFileError(f"{path}: expected rows below the header (got none)")
    width = len(first)
    if rest and len(rest[0]) != width:
        raise GraphFileError(
            f"{path}:{_line(content, delimiter, 0 if names else 1)}: expected {width} cells as in "
            f"the first line (got {len(rest[0])})"
        )
    return _read_delimited(path, content, delimiter, names, width)


def frame_table(path: Path, frame: pd.DataFrame, where: Callable[[int], str]) -> Table:
    """A table of a data frame with named columns."""
    names = [str(name) for name in frame.columns]
    plain = frame.set_axis(range(len(names)), axis=1)
    return Table(path, names, plain, where, lambda column: plain[column])


def _read_delimited(
    path: Path, content: bytes, delimiter: str, names: list[str], width: int
) -> Table:
    def where(row: int) -> str:
        return f"{path}:{_line(content, delimiter, row)}"

    def parse(**options: Any) -> pd.DataFrame:
        try:
            return pd.read_csv(
                io.BytesIO(content),
                sep=delimiter,
                header=None,
                names=list(range(width)),
                index_col=False,
                skipinitialspace=True,
                keep_default_na=False,
                na_values=[""],
                low_memory=False,
                **options,
            )
        except pd.errors.ParserError as error:
            raise GraphFileError(_ragged(path, str(error))) from None

    frame = parse()
    short = np.flatnonzero(frame[width - 1].isna()) if width > 1 else np.array([])
    if short.size and delimiter != _BLANKS:
        _check_short_rows(path, content, delimiter, width, bool(names))
    elif short.size:
        raise GraphFileError(f"{where(int(short[0]))}: expected {width} cells (got fewer)")

    def reread(column: int) -> pd.Series:
        return parse(usecols=[column], dtype={column: str})[column]

    unusual = [c for c in range(width) if frame[c].dtype.kind in "iu"]
    if unusual and _UNUSUAL_INTEGER.search(content):
        # Which column holds them is not known: where text and number differ.
        for column in unusual:
            text = reread(column)
            if (text != frame[column].astype(text.dtype)).any():
                frame[column] = text
    if delimiter != ",":
        for column in range(width):
            numbers = _with_decimal_comma(frame[column], certain=delimiter == ";")
            if numbers is not None:
                frame[column] = numbers
    return Table(path, names, frame, where, reread)


def _with_decimal_comma(cells: pd.Series, *, certain: bool) -> pd.Series | None:
    """Numbers such as 1,5, as spreadsheets write them in many countries; ``None`` for others.

    Args:
        cells: A column.
        certain: Whether 1,500 is one and a half; else a column of nothing but such is left.
    """
    if not _is_text(cells):
        return None
    words = cells.dropna()
    if not len(words) or not re.fullmatch(_DECIMAL_COMMA, str(words.iloc[0]).strip()):
        return None
    words = words.astype(str).str.strip()
    comma = words.str.contains(",", regex=False)
    if not words.str.fullmatch(_DECIMAL_COMMA).all() or not comma.any():
        return None
    if not certain and words[comma].str.fullmatch(_THOUSANDS).all():
        return None
    numbers = words.str.replace(",", ".", regex=False).astype(np.float64)
    return numbers.reindex(cells.index)


def _check_short_rows(
    path: Path, content: bytes, delimiter: str, width: int, has_header: bool
) -> None:
    """Refuse a row that ends too early; pandas fills it with empty cells."""
    for line, cells in _rows(content, delimiter):
        if len(cells) != width:
            raise GraphFileError(
                f"{path}:{line}: expected {width} cells as in the "
                f"{'header' if has_header else 'first line'} (got {len(cells)})"
            )


def _ragged(path: Path, message: str) -> str:
    """What pandas says of a row with too many cells or an open quotation mark, with its line."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message)
    if found:
        return f"{path}:{found[2]}: expected {found[1]} cells (got {found[3]})"
    found = re.search(r"EOF inside string starting at row (\d+)", message)
    if found:
        return f"{path}:{int(found[1]) + 1}: expected a closing quotation mark (got none)"
    return f"{path}: cannot be read as a table: {message.strip()}"


def _delimiter(content: bytes, kind: str) -> str:
    found = re.search(rb"[^\s][^\n]*", content)
    line = found[0].decode("utf-8", "replace") if found else ""
    if kind == ".tsv" and "\t" in line:
        return "\t"
    counts = {mark: line.count(mark) for mark in (",", "\t", ";", "|")}
    if kind != ".csv" and counts["\t"]:
        return "\t"
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else _BLANKS


def _first_rows(content: bytes, delimiter: str) -> list[list[str]]:
    """The cells of the first two rows."""
    rows = []
    for _, cells in _rows(content, delimiter):
        rows.append(cells)
        if len(rows) == 2:
            break
    return rows


def _rows(content: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not empty."""
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")
    if delimiter == _BLANKS:
        for line, row in enumerate(text, 1):
            if row.strip():
                yield line, row.split()
        return
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True)
    before = 0
    for cells in reader:
        if len(cells) > 1 or (cells and cells[0].strip()):
            yield before + 1, cells
        before = reader.line_num


def _line(content: bytes, delimiter: str, row: int) -> int:
    """The line, counted from 1, where a row of data begins."""
    for number, (line, _) in enumerate(_rows(content, delimiter)):
        if number == row:
            return line
    return content.count(b"\n") + 1


def _read_parquet(path: Path) -> Table:
    content = read_content(path)
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise GraphFileError(
            f"{path}: Parquet files need pyarrow: pip install 'grandpp[parquet]'"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
            frame = found.to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise GraphFileError(f"{path}: expected a Parquet file (got: {first})") from None
    for field in found.schema:
        if pyarrow.types.is_nested(field.type):
            raise GraphFileError(
                f"{path}: expected cells with one value in column '{field.name}' (got {field.type})"
            )
    if not len(frame):
        raise GraphFileError(f"{path}: expected rows (got none)")
    frame = frame.reset_index() if frame.index.name is not None else frame.reset_index(drop=True)
    return frame_table(path, frame, lambda row: f"{path}, row {row + 1}")


def _is_text(cells: pd.Series) -> bool:
    return cells.dtype.kind == "O" or isinstance(cells.dtype, pd.StringDtype | pd.CategoricalDtype)
