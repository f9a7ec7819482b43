"""The benchmark of ogbn-arxiv, and the loader on the files it makes, at a smaller size."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch

from grandpp.data import graphs, load_dataset, sbm

SMALL = graphs.GraphSize(classes=5, features=16, nodes=2500, edges=17000)


@pytest.fixture
def benchmark(monkeypatch, tmp_path, load):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GRANDPP_DATA", raising=False)
    monkeypatch.setitem(graphs.EXPECTED_SIZES, "ogbn-arxiv", SMALL)
    load("common")
    return load("arxiv")


def test_the_loader_reads_files_of_the_published_format(benchmark, tmp_path):
    benchmark.write_files(tmp_path / "ogbn_arxiv" / "raw", SMALL)
    data = load_dataset("ogbn-arxiv", tmp_path, download=False)
    answers = round(8444 / 1166243 * SMALL.edges)
    drawn = sbm(SMALL.nodes, SMALL.edges - answers, SMALL.classes, 1, words_per_node=1)
    assert torch.equal(data.edge_index, drawn.edge_index)
    assert torch.equal(data.y, drawn.y)
    assert (data.x.shape, data.x.dtype) == ((2500, 16), torch.float32)
    assert torch.equal(data.x, (data.x.double() * 1e6).round().div(1e6).float())  # six decimals
    mean = torch.stack([data.x[data.y == c].mean(0) for c in range(5)])
    assert float(mean.std(0).mean()) > 0.05  # features tell classes apart


def test_numbers_become_text_with_six_decimals(benchmark):
    values = np.array([[0.0, -0.057943, 0.9999999], [0.1234564, -0.1234567, -3.0]])
    text = benchmark.text_of(values)
    assert text.splitlines()[0] == b"+0.000000,-0.057943,+0.999999"
    read = np.loadtxt(io.BytesIO(text), delimiter=",")
    assert read[1].tolist() == [0.123456, -0.123457, -0.999999]


def test_the_benchmark_reports_reading_and_every_epoch(benchmark, capsys):
    assert benchmark.main(["--rounds", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["step"] for row in rows] == ["load", "epoch 1", "epoch 2"]
    assert all(row["nodes"] == 2500 and row["edges"] == 2 * 16877 for row in rows)
    assert all(row["seconds"] > 0 and row["peak_mib"] > 50 for row in rows)
    assert "epoch 2" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rounds", "0"], "positive integer|at least 1"),
        (["--root", "nowhere"], "ogbn-arxiv was not found"),
        (["--device", "toaster"], "toaster"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(benchmark, capsys, arguments, words):
    with pytest.raises(SystemExit) as exit_info:
        benchmark.main(arguments)
    error = capsys.readouterr().err
    assert exit_info.value.code == 2
    assert error.count("\n") == 1
    assert any(word in error for word in words.split("|"))
