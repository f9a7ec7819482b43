"""Strict JSON for records: NaN is written as null; NaN in older files is read as null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(record: Mapping[str, Any], **options: Any) -> str:
    """One line of JSON with sorted keys; numbers that are NaN or infinite become null.

    Args:
        record: The record; not changed.
        **options: Of :func:`json.dumps`.
    """
    return json.dumps(_finite(record), sort_keys=True, allow_nan=False, **options)


def from_json(text: str | bytes) -> Any:
    """Parse JSON; the NaN and infinities that Python's writer puts into it become ``None``.

    Raises:
        ValueError: If it is no JSON.
    """
    return json.loads(text, parse_constant=lambda name: None)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
