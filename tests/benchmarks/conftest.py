"""Benchmarks as modules that find one another."""

from __future__ import annotations

import sys

import pytest
from programs import load_program


@pytest.fixture
def load(monkeypatch):
    """Load a benchmark under its own name, which ``tests/`` may have given to another module."""

    def load(name):
        monkeypatch.setitem(sys.modules, name, None)  # put back after the test
        return load_program(f"benchmarks/{name}.py", name)

    return load
