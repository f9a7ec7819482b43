"""The benchmark of rewiring on a graph that is there without files."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def benchmark(load):
    load("common")
    return load("rewiring")


def test_the_errors_it_reports_are_within_the_bound(benchmark, capsys):
    assert benchmark.main(["--dataset", "KarateClub", "--json", "--tolerance", "1e-3"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [(row["kernel"], row["method"]) for row in rows]
    assert kinds == [(k, m) for k in ("ppr", "heat") for m in ("exact", "approximate")]
    for row in rows[1::2]:
        assert 0 < row["error"] <= 1
        assert 0 < row["max_error"] < 0.2
        assert 0.9 < row["mass"] <= 1 + 1e-9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "KarateClub", "--tolerance", "2"], "'tolerance' between 0 and 1 (got 2.0)"),
        (["--dataset", "Corra"], "unknown data set 'Corra'"),
        (["--kernel", "poisson"], "'poisson'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(benchmark, capsys, arguments, words):
    with pytest.raises(SystemExit) as exit_info:
        benchmark.main(arguments)
    error = capsys.readouterr().err
    assert exit_info.value.code == 2
    assert words in error.splitlines()[-1]
