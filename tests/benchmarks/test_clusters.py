"""The benchmarks of clusters and suggestions on a graph that is drawn in memory."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def clusters(load):
    load("common")
    return load("clusters")


@pytest.fixture
def suggest(clusters, load):
    return load("suggest")


def rows_of(program, capsys, *arguments):
    assert program.main(["--dataset", "sbm", "--json", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_accuracy_of_clusters_and_a_repeated_run(clusters, capsys, tmp_path, monkeypatch):
    out = tmp_path / "done.jsonl"
    arguments = ("--labels-per-class", "1", "2", "--splits", "2", "--out", str(out))
    methods = ("--method", "clusters", "chosen", "poisson")
    rows = rows_of(clusters, capsys, *arguments, *methods)
    assert [row["labels"] for row in rows] == [1, 2]
    assert all(0 <= row["clusters"] <= 100 for row in rows)
    assert len(out.read_text().splitlines()) == 12
    monkeypatch.setattr(clusters.Prepared, "clusters", None)  # nothing is computed again
    assert rows_of(clusters, capsys, *arguments, *methods) == rows


def test_suggested_nodes_beside_random_ones(suggest, capsys, tmp_path):
    out = tmp_path / "done.jsonl"
    rows = rows_of(suggest, capsys, "--seeds", "2", "--out", str(out))
    assert rows[0]["suggested"] >= rows[0]["random"]
    assert len(out.read_text().splitlines()) == 6
    assert rows_of(suggest, capsys, "--seeds", "2", "--out", str(out)) == rows


def test_a_curve_of_all_ways_with_a_picture(suggest, capsys, tmp_path):
    picture = tmp_path / "curve.png"
    rows = rows_of(suggest, capsys, "--curve", "--per-class", "1", "3", "--seeds", "2",
                   "--plot", str(picture))  # fmt: skip
    assert [row["per_class"] for row in rows] == [1, 3]
    assert {"suggested", "random", "one_per_class", "uncertainty"} <= set(rows[0])
    # The first round is random.
    assert rows[0]["uncertainty"] == rows[0]["random"] != rows[1]["uncertainty"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_models_of_the_zoo_can_be_trained_on_the_chosen_nodes(suggest, capsys):
    arguments = ("--seeds", "1", "--way", "suggested")
    (row,) = rows_of(suggest, capsys, *arguments, "--model", "sgc")
    (other,) = rows_of(suggest, capsys, *arguments)
    assert 0 < row["suggested"] < 100 and row["suggested"] != other["suggested"]
    assert "random" not in row


@pytest.mark.parametrize("program", ["clusters", "suggest"])
def test_bad_input_is_one_line_and_exit_code_2(program, request, capsys):
    with pytest.raises(SystemExit) as stop:
        request.getfixturevalue(program).main(["--dataset", "Corra"])
    assert stop.value.code == 2
    assert "unknown data set 'Corra'" in capsys.readouterr().err.splitlines()[-1]
