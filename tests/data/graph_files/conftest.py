"""Write small files into a folder of the test."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path):
    """Write bytes, or text that is compressed if the name ends in ``.gz``; returns the path."""

    def to(name: str, content: str | bytes) -> Path:
        raw = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = isinstance(content, str) and name.endswith(".gz")
        path.write_bytes(gzip.compress(raw) if packed else raw)
        return path

    return to
