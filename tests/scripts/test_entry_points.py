"""Every script is an entry point of a command, under its own name."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "scripts").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_a_help_and_refuses_wrong_options_in_one_line(path, capsys, monkeypatch):
    for option, code in (("--help", 0), ("--no-such-option", 2)):
        monkeypatch.setattr(sys, "argv", [str(path), option])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(path), run_name="__main__")
        assert stop.value.code == code
    out, error = capsys.readouterr()
    assert out.startswith(f"usage: {path.stem} ")
    assert error.startswith(f"{path.stem}: error: ") and error.count("\n") == 1
