"""The commands of the package: every option is declared once."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path

import pytest
from programs import load_program

import grandpp.studies
from grandpp.training.command import Command

SCRIPTS = {
    "node_classify": "low_label.classify",
    "depth_study": "low_label.depth",
    "compare": "low_label.compare",
    "reproduce": "thesis.reproduce",
}


def dataclasses_below(package):
    """Every dataclass of the package's modules."""
    top = Path(package.__path__[0]).parent
    for path in sorted(top.rglob("*.py")):
        name = ".".join(("grandpp", *path.relative_to(top).with_suffix("").parts))
        if "experimental" in name or name.endswith("__main__"):
            continue
        for found in vars(import_module(name.removesuffix(".__init__"))).values():
            if isinstance(found, type) and is_dataclass(found):
                yield found


def test_no_option_is_described_twice():
    rows = {}
    for declared in dataclasses_below(grandpp.studies):
        for item in fields(declared):
            row = item.metadata.get("option")
            if row is not None:
                rows[id(row)] = (item.name, row.help)
    described = list(rows.values())
    twice = {row for row in described if described.count(row) > 1}
    assert len(rows) > 40
    assert not twice


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_the_command_of_its_study(script):
    command = import_module(f"grandpp.studies.{SCRIPTS[script]}").COMMAND
    assert isinstance(command, Command)
    assert load_program(f"scripts/{script}.py").COMMAND is command
