"""Node ids of any type, each once, and the number of each node."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
_INTEGER = re.compile(r"-?[1-9][0-9]{0,17}|0")
_WHOLE = re.compile(r"-?[0-9]+\.0+")


@dataclass(frozen=True, eq=False)
class Factor:
    """A column by its distinct values.

    Args:
        codes: Position of each row's value in ``values``, -1 for an empty cell, int64 ``[rows]``.
        values: The distinct values in order of appearance: int64, or objects of type ``str``.
    """

    codes: IntArray
    values: NDArray[Any]

    def text(self, row: int) -> str:
        """The value of a row as a string."""
        return str(self.values[self.codes[row]])


def factor_of(column: Any) -> Factor:
    """Find the distinct values of a pandas Series or array of integers, text or anything else.

    Text loses blanks at both ends. A column of nothing but whole numbers written with a decimal
    point, as spreadsheets and pandas write integers beside empty cells, counts as integers.
    """
    codes, values = pd.factorize(column)
    codes = codes.astype(np.int64)
    if values.dtype.kind in "iu" and not (values.dtype.kind == "u" and (values >> 63).any()):
        return Factor(codes, np.asarray(values).astype(np.int64))
    words = [_word(value) for value in values]
    if words and all(_WHOLE.fullmatch(word) for word in words):
        words = [word.split(".")[0] for word in words]
    # Nothing but blanks is an empty cell.
    again, distinct = pd.factorize(np.array([word or None for word in words], dtype=object))
    lookup = np.append(again, -1).astype(np.int64)
    return Factor(lookup[codes], distinct)


def union(parts: Sequence[NDArray[Any]], *, rising: bool) -> tuple[NDArray[Any], list[IntArray]]:
    """Number the ids of several files: each once.

    Args:
        parts: Distinct ids of each file.
        rising: Whether ids are sorted, integers as numbers and words as text, so that the order
            of lines and columns does not matter; else they are in order of first appearance.

    Returns:
        The ids, int64 or objects of type ``str``, and the numbers of the ids of each part.
    """
    if not all(part.dtype.kind == "i" for part in parts):
        parts = [np.array([str(value) for value in part], dtype=object) for part in parts]
        if all(_INTEGER.fullmatch(value) for part in parts for value in part):
            parts = [part.astype(np.int64) for part in parts]
    together = np.concatenate(parts)
    codes, values = pd.factorize(together, sort=rising)
    ends = np.cumsum([part.size for part in parts])[:-1]
    return values, np.split(codes.astype(np.int64), ends)


def listed(ids: NDArray[Any]) -> list[int] | list[str]:
    """The ids as a list of Python's own integers or strings."""
    found: list[int] | list[str] = ids.tolist()
    return found


def some(values: Sequence[Any] | NDArray[Any], most: int = 3) -> str:
    """The first few of several values in words, with dots for the rest."""
    first = ", ".join(str(value) for value in values[:most])
    return first + (", ..." if len(values) > most else "")


def counted(number: int, one: str, many: str) -> str:
    """A number with words in the singular or the plural: ``1 node``, ``2,000 nodes``."""
    return f"{number:,} {one if number == 1 else many}"


def _word(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value).strip()
