"""Find and read files of numbers: comma-separated text and ``.npy``."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grandpp.data.errors import DatasetIntegrityError, DatasetNotFoundError
from grandpp.data.files import search_folders


def find_folder(
    root: str | Path | None, name: str, has: Callable[[Path], Any], wanted: str
) -> Path:
    """The first raw folder ``<folder>/<name>/raw`` that has the files.

    Args:
        root: Folder of data sets to look in first, or None.
        name: Name of the data set.
        has: Whether a raw folder has the files of the data set.
        wanted: Description of the files for the error message.

    Raises:
        DatasetNotFoundError: If no folder has them; these sets are not downloaded.
    """
    folders = search_folders(root)
    for folder in folders:
        if has(folder / name / "raw"):
            return folder / name / "raw"
    looked = ", ".join(str(folder) for folder in folders)
    raise DatasetNotFoundError(
        f"data set {name} was not found: looked in {looked}; put {wanted} into "
        f"<folder>/{name}/raw and pass that folder as root or in $GRANDPP_DATA"
    )


def number_table(content: bytes, path: Path, columns: int) -> NDArray[np.float64]:
    """Read the first columns below the header of a file of comma-separated numbers.

    Args:
        content: Bytes of the file.
        path: Name of the file for error messages.
        columns: Number of columns to read; there may be more.

    Returns:
        Array ``[rows, columns]`` of finite numbers, with at least 2 rows.

    Raises:
        DatasetIntegrityError: If the file has another format, or its last line is truncated.
    """
    if content.count(b"\n") < 2:
        raise DatasetIntegrityError(f"refused {path}: expected a header and lines of numbers")
    try:
        rows: NDArray[np.float64] = np.loadtxt(
            io.BytesIO(content), delimiter=",", skiprows=1, usecols=range(columns), ndmin=2
        )
    except (ValueError, IndexError) as error:
        raise DatasetIntegrityError(
            f"refused {path}: expected a header and {columns} columns of numbers (got {error})"
        ) from error
    if len(rows) < 2 or not np.isfinite(rows).all():
        raise DatasetIntegrityError(
            f"refused {path}: expected at least 2 rows of finite numbers (got {len(rows)} rows)"
        )
    header, last = content.split(b"\n", 1)[0], content.rstrip().rsplit(b"\n", 1)[-1]
    if last.count(b",") != header.count(b","):  # a truncated number may still be a number
        raise DatasetIntegrityError(
            f"refused {path}: expected as many commas in the last line as in the header, "
            f"{header.count(b',')} (got {last.count(b',')}: the file may be cut off)"
        )
    return rows


def check_count(place: Path, what: str, published: int, found: int) -> None:
    """Check the number of rows or files of published data, to detect truncated or other data.

    Args:
        place: The file or folder, for the error message.
        what: Name of what is counted, for example ``"rows"``.
        published: Number in the published data.
        found: Number that was read.

    Raises:
        DatasetIntegrityError: If the numbers differ.
    """
    if found != published:
        raise DatasetIntegrityError(
            f"refused {place}: expected the {published} {what} of the published data "
            f"(got {found}); pass check_size=False for data of your own"
        )


def read_array(path: Path, columns: int) -> NDArray[np.float64]:
    """Read a ``.npy`` file with a table of finite numbers; pickled objects are refused.

    Args:
        path: The file.
        columns: Number of columns it must have.

    Returns:
        Array ``[rows, columns]``.

    Raises:
        DatasetIntegrityError: If the file cannot be read or has another format.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise DatasetIntegrityError(f"refused {path}: expected a .npy array ({error})") from error
    shape = getattr(found, "shape", None)  # an archive of arrays has none
    if shape is None or len(shape) != 2 or shape[1] != columns or found.dtype.kind not in "fiu":
        raise DatasetIntegrityError(
            f"refused {path}: expected an array of numbers [rows, {columns}] "
            f"(got {getattr(found, 'dtype', type(found).__name__)} {shape})"
        )
    table: NDArray[np.float64] = found.astype(np.float64)
    if not np.isfinite(table).all():
        raise DatasetIntegrityError(f"refused {path}: expected finite numbers (got NaN or inf)")
    return table
