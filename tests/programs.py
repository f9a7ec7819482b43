"""Scripts and benchmarks as modules, for they lie in folders that are no packages; commands."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from grandpp.training.command import Command, run_command

TOP = Path(__file__).parents[1]


def load_program(path: str, name: str | None = None) -> ModuleType:
    """Load ``scripts/compare.py`` and the like anew, as a module of that name."""
    file = TOP / path
    name = name or "program_" + file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


def runner(command: Command, program: str) -> Callable[[list[str]], int]:
    """Run a command in this process; the exit code is returned also where its parser exits."""

    def main(argv: list[str]) -> int:
        try:
            return run_command(command, argv, program=program)
        except SystemExit as stop:
            return stop.code

    return main
