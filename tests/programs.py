"""Scripts and benchmarks as modules: they lie in folders that are no packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TOP = Path(__file__).parents[1]


def load_program(path: str, name: str | None = None) -> ModuleType:
    """Load ``scripts/compare.py`` and the like anew, as a module of that name."""
    file = TOP / path
    name = name or "program_" + file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look it up
    spec.loader.exec_module(module)
    return module
