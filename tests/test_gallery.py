"""The gallery: form of every program, and two of them run; the build of the pages runs all."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import matplotlib
import pytest

GALLERY = Path(__file__).parents[1] / "docs/gallery"
PROGRAMS = sorted(GALLERY.glob("*.py"))
FAST = ("plot_04_heavy_ball", "plot_06_exact")


def test_there_is_a_program_for_every_subject():
    assert [path.stem[:7] for path in PROGRAMS] == [f"plot_{k:02d}" for k in range(1, 13)]
    assert (GALLERY / "GALLERY_HEADER.rst").read_text().startswith("Gallery\n=======\n")


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_has_a_title_a_text_a_figure_and_small_blocks(path):
    source = path.read_text()
    text = ast.get_docstring(ast.parse(source))
    title, line, *_ = text.splitlines()
    assert line == "=" * len(title)
    assert "Source" in text or "own" in text  # where it comes from
    assert source.count("# %%\n") >= 3 and "# What to look at\n" in source
    assert source.rstrip().endswith("plt.show()")
    for heading, below in re.findall(r"^# (.+)\n# (-+)$", source, re.M):
        assert len(heading) == len(below), heading


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_needs_no_network_and_no_data_files(path):
    source = path.read_text()
    assert "load_dataset(" not in source and "http" not in source
    for name in re.findall(r'load_images\("(\w+)"', source):
        assert name == "digits"


@pytest.mark.parametrize("name", FAST)
def test_a_program_runs_and_draws(name, capsys):
    plt = pytest.importorskip("matplotlib.pyplot")
    matplotlib.use("Agg")
    plt.close("all")
    runpy.run_path(str(GALLERY / f"{name}.py"), run_name="__main__")
    (number,) = plt.get_fignums()
    figure = plt.figure(number)
    assert all(axes.has_data() for axes in figure.axes)
    plt.close(figure)
    assert capsys.readouterr().out
