"""The check of a picture before the work that it shows, and its file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import grandpp
from grandpp.training.figures import check_picture, make_panels, save_figure
from grandpp.training.record_file import PICTURES, RecordFile, RecordFormat


def test_a_picture_that_could_not_be_saved_is_refused_at_once(tmp_path):
    check_picture(tmp_path / "fine.svg")
    with pytest.raises(ValueError, match="existing folder"):
        check_picture(tmp_path / "missing" / "a.png")
    with pytest.raises(ValueError, match=r"ending in one of .*png"):
        check_picture(tmp_path / "a.docx")


def test_an_interrupted_picture_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    figure, _ = make_panels(1, 2, 2)
    save_figure(figure, path, dpi=30)
    old = path.read_bytes()
    assert old.startswith(b"\x89PNG")

    with path.open("rb") as reader:  # who has opened the old one reads it to its end
        save_figure(figure, path, dpi=60)
        assert reader.read() == old != path.read_bytes()
    old = path.read_bytes()

    def interrupted(file, **options):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_figure(figure, path)
    assert path.read_bytes() == old and len(list(tmp_path.iterdir())) == 1


def test_no_study_saves_a_picture_otherwise():
    root = Path(grandpp.__file__).parents[1]
    found = {
        path.relative_to(root).as_posix()
        for folder in ("grandpp", "benchmarks")
        for path in (root / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "savefig"
    }
    # The second makes bytes, which its callers write whole.
    assert found == {"grandpp/training/figures.py", "grandpp/estimator/figures.py"}


def test_no_picture_is_taken_for_a_file_of_records(tmp_path):
    formats = {f".{ending}" for ending in FigureCanvasAgg.get_supported_filetypes()}
    assert formats <= set(PICTURES)
    for ending in PICTURES:
        with pytest.raises(ValueError, match="expected a file of records, not a picture"):
            RecordFile(tmp_path / f"runs{ending}", RecordFormat(("a",)))
    with pytest.raises(ValueError, match="not a picture"):
        RecordFile(tmp_path / "runs.PNG", RecordFormat(("a",)))
