"""The command grandpp: its list of commands, and where each is found."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from itertools import chain
from pathlib import Path

import pytest

from grandpp.__main__ import COMMANDS, main
from grandpp.training.command import Command

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_the_help_lists_every_command(capsys, argv):
    assert main(argv) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for name, (_, about) in COMMANDS.items():
        assert [name, *about.split()] in lines


def test_the_help_and_the_version_need_no_torch():
    program = (
        "import runpy, sys\n"
        "try: runpy.run_module('grandpp', run_name='__main__', alter_sys=True)\n"
        "finally: sys.stderr.write(str('torch' in sys.modules))\n"
    )
    for option, words in (("--help", "point-cloud"), ("--version", "grandpp ")):
        done = subprocess.run(
            [sys.executable, "-c", program, option], cwd=ROOT, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "False")
        assert words in done.stdout


@pytest.mark.parametrize(
    ("name", "near"), [("classfy", "did you mean classify?"), ("xyz", "see grandpp --help")]
)
def test_an_unknown_command_is_one_line_and_exit_code_two(capsys, name, near):
    assert main([name]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1
    assert error.startswith("grandpp: error: ") and f"(got '{name}'); {near}" in error


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_found_under_its_name_and_has_a_help(capsys, name):
    command = import_module(COMMANDS[name][0]).COMMAND
    assert isinstance(command, Command) and command.name == name
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: grandpp {name} ")
    assert command.about.splitlines()[0] in text


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_option_is_one_line_and_exit_code_two(capsys, name):
    with pytest.raises(SystemExit) as stop:
        main([name, "--no-such-option"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith(f"grandpp {name}: error: ")


def test_the_scripts_are_the_same_programs():
    found = [
        re.findall(r"^from (grandpp\S+) import COMMAND$", path.read_text(), re.M)
        for path in sorted((ROOT / "scripts").glob("*.py"))
    ]
    assert sorted(chain(*found)) == sorted(
        module for module, _ in COMMANDS.values() if module.startswith("grandpp.studies")
    )
