"""The pages in docs: examples run, tables and pictures follow their data, names are described."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shutil
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import torch
from programs import load_program, runner
from test_readme import ROOT, blocks, commands

from grandpp.__main__ import COMMANDS
from grandpp.studies.thesis import results_pages

DOCS = ROOT / "docs"
RUN = ("pyg-model", "sequences-images")
api = load_program("docs/tools/api_pages.py")
tables = load_program("docs/tools/tables.py")
pictures = load_program("docs/tools/pictures.py")
table_pages = load_program("docs/tools/table_pages.py")


def run_python(page: Path, variables: dict[str, object]) -> None:
    for example in blocks(page, "python"):
        exec(compile(example, page.name, "exec"), variables)


@pytest.mark.parametrize("name", RUN)
def test_the_examples_of_a_start_page_run(name, capsys):
    torch.manual_seed(0)
    run_python(DOCS / f"start/{name}.md", {})


def test_the_answers_of_the_faq_run_and_say_what_is_written_beside_them(capsys):
    page = (DOCS / "faq.md").read_text()
    indented = re.findall(r"^( *)```python\n(.*?)^\1```$", page, re.S | re.M)
    assert len(indented) == 3
    variables: dict[str, object] = {}
    for indent, code in indented:
        exec(compile(re.sub(f"^{indent}", "", code, flags=re.M), "faq.md", "exec"), variables)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("dopri5 stopped at t = 1.00001 of 2 after 1046 evaluations")
    assert [method for _, method in variables["solution"].stats.methods] == [
        "dopri5",
        "prox_adaptive",
    ]
    assert int(printed[2]) < 1000
    assert printed[3].startswith("expected an nn.Module or a BoundField, or gradient='direct'")


def test_the_page_on_an_own_graph_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = DOCS / "start/own-graph.md"
    first, second = blocks(page, "python")
    exec(compile(first, page.name, "exec"), {})
    lines = commands(page, "grandpp ")
    blocks_of = [words for words in lines if "--edges" in words]
    assert [words[1] for words in blocks_of] == ["label", "label", "predict", "suggest"]
    for words in blocks_of:
        command = import_module(COMMANDS[words[1]][0]).COMMAND
        short = ["--epochs", "2"] if words[1] == "label" else []
        assert runner(command, "program")([*words[2:], *short, "--quiet"]) == 0
    for name in ("predictions.csv", "map.png", "model.pt", "again.csv", "to_label.csv"):
        assert Path(name).stat().st_size > 50
    quick = second.replace("NodeClassifier(seed=0)", "NodeClassifier(seed=0, epochs=2)")
    variables: dict[str, object] = {}
    exec(compile(quick, page.name, "exec"), variables)
    assert variables["proba"].shape == (400, 4) and len(variables["to_label"]) == 7


def test_the_first_commands_of_the_study_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    block = blocks(DOCS / "start/low-label-study.md", "bash")[0].splitlines()
    classify, compare = (line.split()[1:] for line in block)
    assert (classify[0], compare[0]) == ("classify", "compare")
    assert "sbm" in classify  # needs no files
    small = ["--model", "grand-l", "gcn", "--splits", "2", "--epochs", "2", "--quiet"]
    start = classify[1 : classify.index("--model")]
    end = ["--out", classify[classify.index("--out") + 1]]
    study = import_module(COMMANDS["classify"][0]).COMMAND
    assert runner(study, "program")([*start, *end, *small]) == 0
    capsys.readouterr()
    assert runner(import_module(COMMANDS["compare"][0]).COMMAND, "program")(compare[1:]) == 0
    shown = capsys.readouterr().out
    assert "grand-l" in shown and "gcn" in shown and "Holm" in shown


def test_the_readme_is_a_landing_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", tables.PAGES)
def test_tables_are_those_of_the_stored_records(page):
    text = (ROOT / page).read_text()
    assert "<!-- table: " in text
    assert tables.filled(text) == text


def test_every_page_of_a_table_is_included_in_one_of_the_documentation(tmp_path):
    folder = tmp_path / "docs" / "results"
    folder.mkdir(parents=True)
    (folder / "table-9.9.md").write_text("written by hand")
    (folder / "table-9.8.md").write_text("```{include} ../../results/table-9.8.md\n```\n")
    shutil.copytree(ROOT / "results", tmp_path / "results")
    (tmp_path / "results/table-9.7.md").write_text("without records")
    names = table_pages.write_table_pages(tmp_path / "results", folder)
    assert (folder / "table-9.9.md").read_text() == "written by hand"
    (folder / "table-9.9.md").unlink()
    assert not (folder / "table-9.8.md").exists()
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    packed = {path.name.split(".jsonl")[0] for path in (ROOT / "results").glob("table-*.jsonl.gz")}
    assert {f"{name}.md" for name in packed} == set(names)
    listed = re.findall(r"\((table-.*?\.md)\)", (ROOT / "results/RESULTS.md").read_text())
    assert sorted(listed) == sorted(names)
    for name in names:
        (target,) = re.findall(r"\{include\} (\S+)", (folder / name).read_text())
        assert (DOCS / "results" / target).resolve() == ROOT / "results" / name
        assert ":relative-images:" in (folder / name).read_text()


def test_the_pages_of_the_tables_are_those_of_the_stored_records(monkeypatch):
    monkeypatch.chdir(ROOT)  # where their commands are to be run
    for name, text in results_pages(ROOT / "results").items():
        assert (ROOT / "results" / name).read_text().splitlines() == text.splitlines(), name


def test_every_stored_time_is_on_the_page_with_a_program_that_there_is():
    page = (DOCS / "speed.md").read_text()
    for section in tables.json.loads(tables.TIMES.read_text())["tables"]:
        assert f"<!-- table: {section['name']} -->" in page
        assert all(len(row) == len(section["columns"]) for row in section["rows"])
        assert (ROOT / section["command"].split()[1]).is_file()


def test_a_table_that_is_not_there_is_an_error_that_lists_the_others():
    with pytest.raises(ValueError, match=r"headline.*epoch.*\(got 'none'\)"):
        tables.table("none")


def test_the_picture_of_the_house_has_every_room_and_arrows_go_down(tmp_path):
    floors = {room: row for row, floor in enumerate(pictures.FLOORS) for room in floor if room}
    assert set(floors) == pictures.rooms() == set(pictures.ABOUT)
    arrows = pictures.nearest(pictures.imported())
    assert ("layers", "solvers") in arrows and ("studies", "training") in arrows
    assert all(floors[room] < floors[other] for room, other in arrows)
    drawn = (DOCS / "img/house.svg").read_text()
    assert all(f">{room}<" in drawn for room in floors)
    pictures.draw_house(tmp_path / "house.svg")
    pictures.draw_speed(tmp_path / "speed.svg")
    assert (tmp_path / "house.svg").read_text().count('<g id="patch_') == 1 + len(floors) + len(
        arrows
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("api")
    api.write_pages(folder)
    return {path.stem: path.read_text() for path in folder.glob("*.rst")}


def described(page: str) -> list[str]:
    """Names with an entry of their own on a page."""
    package = page.split("\n")[0]
    data = re.findall(r"^\.\. py:data:: (\S+)$", page, re.M)
    return re.findall(r"^\.\. auto\w+:: (\S+)$", page, re.M) + [f"{package}.{d}" for d in data]


def test_every_public_name_is_described_once(pages):
    names = Counter(name for page in pages.values() for name in described(page))
    assert set(names.values()) == {1}
    for module in api.packages():
        for name in module.__all__:
            path = f"{module.__name__}.{name}"
            refers = f"``{path}`` is :py:obj:" in pages[module.__name__]
            assert (path in names) != refers, path
    homes = dict(api.top_level())
    import grandpp

    assert set(homes) == set(grandpp.__all__) and set(homes.values()) <= set(names)


def test_packages_with_public_names_have_a_page_in_the_index(pages):
    for module in api.packages():
        assert f"   {module.__name__}\n" in pages["index"]
        assert pages[module.__name__].startswith(f"{module.__name__}\n=")


def test_constants_have_their_text_from_where_they_are_made(pages):
    assert ".. py:data:: Rate\n" in pages["grandpp.fields"]
    assert "   A right-hand side whose state is one tensor.\n" in pages["grandpp.fields"]


def test_the_reference_of_commands_shows_the_help_of_each(pages):
    text = pages["commands"]
    for name in COMMANDS:
        assert f"grandpp {name}\n---" in text and f"usage: grandpp {name} " in text


def doctests() -> list[doctest.DocTest]:
    """Examples in the docstrings of public names; they know torch and the name itself."""
    finder = doctest.DocTestFinder(recurse=True, exclude_empty=True)
    found = []
    for entry in api.entries():
        value = getattr(import_module(entry.package), entry.name)
        if entry.package == entry.home and entry.kind != "data":
            known = {"torch": torch, entry.name: value}
            found += finder.find(value, entry.path, module=False, globs=known)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("test", doctests(), ids=lambda test: test.name)
def test_the_example_of_a_docstring_prints_what_it_says(test):
    torch.manual_seed(0)
    told = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    with contextlib.redirect_stderr(io.StringIO()):
        runner.run(test, out=told.write)
    assert runner.summarize(verbose=False).failed == 0, told.getvalue()


def test_the_names_that_most_programs_need_have_an_example():
    names = {test.name.split(".")[-1] for test in doctests()}
    layers = {"GRANDConv", "GRANDPPConv", "HeavyBallConv", "CGNNConv", "NeuralODE"}
    assert names >= layers | {"NodeClassifier", "ODERNN", "ODEClassifier", "solve", "load_dataset"}
