"""Read record files whose runs have a key of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grandpp.training.json_lines import from_json

RunLine = dict[str, Any]


def read_runs(
    path: Path | None, key: Sequence[str], before: Mapping[str, Any] | None = None
) -> dict[tuple[Any, ...], RunLine]:
    """Runs in a file by their key; none if there is no file yet.

    A last line without its newline that was torn by a crash is passed over.

    Args:
        path: The file, or None.
        key: Fields that tell runs apart.
        before: What fields were that lines of older versions do not have. (default: ``None``)

    Raises:
        ValueError: If a line is no run, or there is no folder for the file.
    """
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"expected an existing folder for {path}")
    *lines, last = path.read_text().split("\n") if path is not None and path.exists() else [""]
    if last and not (last.startswith("{") and not _is_json(last)):
        lines.append(last)
    runs = {}
    for n, line in enumerate(lines, start=1):
        try:
            run = {**(before or {}), **from_json(line)}
            run = _with_nan(run)
            runs[key_of(run, key)] = run
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"expected one run per line in {path} (line {n} is none)") from None
    return runs


def _with_nan(run: RunLine) -> RunLine:
    """What every epoch measured as numbers again: null there stands for a NaN or an infinity."""
    if not isinstance(run.get("history"), list):
        return run
    rows = [{k: math.nan if v is None else v for k, v in row.items()} for row in run["history"]]
    return run | {"history": rows}


def _is_json(text: str) -> bool:
    try:
        from_json(text)
    except ValueError:
        return False
    return True


def key_of(run: Mapping[str, Any], key: Sequence[str]) -> tuple[Any, ...]:
    """What tells a run apart; several numbers in one field count as a whole.

    Raises:
        KeyError: If the run lacks a field.
    """
    values = (run[name] for name in key)
    return tuple(tuple(v) if isinstance(v, list | tuple) else v for v in values)
