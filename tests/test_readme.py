"""The README and the pages in docs: commands parse, examples run, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import torch
from programs import load_program, runner

from grandpp.__main__ import COMMANDS
from grandpp.data import sbm
from grandpp.training.command import OneLineParser
from grandpp.training.options import add_options

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]
BUILT = (ROOT / "docs/api", ROOT / "docs/auto_gallery")
# Letters that stand for values, in commands that print a row of a table each.
PLACEHOLDERS = {"D": "Cora", "M": "gcn", "K": "1", "N": "1", "E": "1", "G": "0.1"}


def blocks(path: Path, language: str) -> list[str]:
    """Fenced blocks of code."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.S | re.M)


def commands(path: Path, start: str) -> list[list[str]]:
    """Words of the commands that begin with ``start``, in blocks and in lines."""
    text = path.read_text()
    inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M))
    lines = [line for block in blocks(path, "bash") for line in block.splitlines()]
    found = [part.split("&&")[-1].strip().removeprefix(".venv/bin/") for part in inline + lines]
    return [
        [PLACEHOLDERS.get(word, word) for word in shlex.split(line)]
        for line in found
        if line.startswith(start)
    ]


def grandpp_commands() -> list[list[str]]:
    """Commands with options, or of their own; ``grandpp COMMAND --help`` is none."""
    found = [words[1:] for page in PAGES for words in commands(page, "grandpp ")]
    return [words for words in found if words[0] != "COMMAND"]


@pytest.mark.parametrize("words", grandpp_commands(), ids=" ".join)
def test_a_command_has_the_options_that_it_is_given(words):
    name, *rest = words
    assert name in COMMANDS
    options = import_module(COMMANDS[name][0]).COMMAND.options
    parser = OneLineParser(prog=f"grandpp {name}")
    add_options(parser, options)
    if not rest:
        return
    # A command that leaves out what stands in the text around it still has its options right.
    for action in parser._actions:
        action.required = False
    parser.parse_args(rest)  # exits on an unknown option or value


def test_the_pages_name_every_command():
    names = {words[0] for words in grandpp_commands()}
    assert names == set(COMMANDS)


@pytest.mark.parametrize(
    "words", [w for page in PAGES for w in commands(page, "python benchmarks/")], ids=" ".join
)
def test_a_benchmark_has_the_options_that_it_is_given(words):
    _, path, *rest = words
    assert (ROOT / path).is_file()
    known = (ROOT / path).read_text() + (ROOT / "benchmarks/common.py").read_text()
    for option in (word for word in rest if word.startswith("--")):
        field = option.removeprefix("--").replace("-", "_")
        fields = {field, field.removeprefix("no_")}  # --no-whole belongs to "whole"
        assert f'"{option}"' in known or any(f"    {f}:" in known for f in fields), option


def test_links_and_pictures_lead_to_files_that_are_small():
    for page in PAGES:
        prose = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.S | re.M)
        for target in re.findall(r"\]\(([^)]+)\)", prose):
            if target.startswith("https://"):
                continue
            file, _, heading = target.partition("#")
            found = (page.parent / file).resolve() if file else page
            # The reference and the gallery are written, and their links checked, with the site.
            assert found.exists() or found.parent in BUILT, target
            if heading:
                headings = re.findall(r"^#+ (.+)$", found.read_text(), re.M)
                slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
                assert heading in slugs, target
    for picture in (ROOT / "docs/img").iterdir():
        assert picture.stat().st_size < 150_000


@pytest.fixture
def own_graph(tmp_path, monkeypatch):
    """Three files as in the README's first example."""
    data = sbm(num_nodes=60, num_edges=200, num_classes=2, num_features=8, words_per_node=3.0)
    ids = [f"n{i}" for i in range(60)]
    source, target = data.edge_index[:, data.edge_index[0] < data.edge_index[1]].tolist()
    edges = pd.DataFrame({"source": source, "target": target}).map(ids.__getitem__)
    edges.to_csv(tmp_path / "edges.csv", index=False)
    features = pd.DataFrame(data.x.numpy()).add_prefix("w")
    features.insert(0, "node", ids)
    features.to_csv(tmp_path / "features.csv", index=False)
    given = [int(i) for k in range(2) for i in (data.y == k).nonzero().view(-1)[:2]]
    labels = {"node": [ids[i] for i in given], "label": [f"class{data.y[i]}" for i in given]}
    pd.DataFrame(labels).to_csv(tmp_path / "labels.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_on_an_own_graph_write_what_the_readme_says(own_graph, capsys):
    for words in commands(README, "grandpp label --edges") + commands(README, "grandpp suggest"):
        command = import_module(COMMANDS[words[1]][0]).COMMAND
        short = [] if words[1] == "suggest" else ["--epochs", "2"]
        assert runner(command, "program")([*words[2:], *short, "--quiet"]) == 0
    predictions = pd.read_csv("predictions.csv")
    assert list(predictions.columns[:4]) == ["node", "label", "confidence", "given"]
    assert len(predictions) == 60 and predictions.given.sum() == 4
    assert len(pd.read_csv("to_label.csv")) == 7
    assert Path("map.png").read_bytes().startswith(b"\x89PNG")


def test_every_example_in_python_runs(own_graph, monkeypatch, capsys):
    # Two epochs of the examples' hundred.
    monkeypatch.setattr("grandpp.estimator.classifier.NodeClassifier.fit", _short_fit())
    examples = blocks(README, "python")
    assert len(examples) == 2
    for example in examples:
        torch.manual_seed(0)
        exec(compile(example, "README.md", "exec"), {})


def _short_fit():
    from grandpp import NodeClassifier

    fit = NodeClassifier.fit

    def short(self, *arguments, **options):
        return fit(self.set_params(epochs=2), *arguments, **options)

    return short


def test_the_program_named_by_its_earlier_name_is_the_command():
    assert load_program("scripts/node_classify.py").COMMAND.name == "classify"
