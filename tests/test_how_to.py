"""The how-to pages: their Python runs, and their commands have the options that they are given."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch

from grandpp.__main__ import COMMANDS
from grandpp.studies.low_label.zoo import ZOO
from grandpp.training.command import OneLineParser
from grandpp.training.options import add_options

HOW_TO = Path(__file__).parents[1] / "docs/how-to"
PAGES = sorted(HOW_TO.glob("*.md"))
# Its blocks are for torchrun; tests/distributed has such a loop.
PYTHON = [page for page in PAGES if page.stem != "sharded-graphs"]


def blocks(path: Path, language: str) -> list[str]:
    """Fenced blocks of code."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.S | re.M)


@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before, names = dict(ZOO), {"__name__": "page"}
    monkeypatch.setitem(sys.modules, "page", _module(names))
    torch.manual_seed(0)
    try:
        for block in blocks(page, "python"):
            exec(compile(block, page.name, "exec"), names)
    finally:
        ZOO.clear()
        ZOO.update(before)


def _module(names: dict[str, object]) -> ModuleType:
    """A module with these names, which dataclasses look for."""
    module = ModuleType("page")
    module.__dict__.update(names)
    return module


def _commands() -> list[list[str]]:
    lines = [line for page in PAGES for b in blocks(page, "bash") for line in b.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("grandpp ")]


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_a_command_has_the_options_that_it_is_given(words):
    name, *rest = words
    options = import_module(COMMANDS[name][0]).COMMAND.options
    parser = OneLineParser(prog=f"grandpp {name}")
    add_options(parser, options)
    parser.parse_args(rest)  # exits on an unknown option or value


def test_every_page_is_in_the_list():
    listed = re.search(
        r"```\{toctree\}\n:maxdepth: 1\n\n(.*?)```", (HOW_TO / "index.md").read_text(), re.S
    )
    names = set(listed.group(1).split())
    assert {page.stem for page in PAGES} - {"index"} <= names


def test_links_lead_to_pages():
    listed = set((HOW_TO / "index.md").read_text().split())
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.S | re.M)
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if target.startswith(("https://", "../auto_gallery/")):
                continue  # the gallery is written by the build, which checks such links
            assert (HOW_TO / target).is_file() or target.removesuffix(".md") in listed, target
