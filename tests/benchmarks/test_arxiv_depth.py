"""The study of depth on a graph of ogbn-arxiv's size, on a smaller one."""

from __future__ import annotations

import json

import pytest
import torch

SMALL = ["--nodes", "2000", "--channels", "8", "--epochs", "2", "--depths", "1", "16"]


@pytest.fixture
def program(load):
    load("common")
    return load("arxiv_depth")


def rows_of(program, capsys, *arguments):
    assert program.main([*SMALL, "--json", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_both_models_at_every_depth_are_kept_and_not_repeated(
    program, capsys, tmp_path, monkeypatch
):
    out, picture = tmp_path / "runs.jsonl", tmp_path / "depth.png"
    arguments = ("--splits", "2", "--out", str(out))
    rows = rows_of(program, capsys, *arguments, "--plot", str(picture))
    assert [(row["model"], row["T"]) for row in rows] == [
        ("grand-l", 1), ("grand++-l", 1), ("grand-l", 16), ("grand++-l", 16)
    ]  # fmt: skip
    assert [row["thesis"] for row in rows] == pytest.approx([68.50, 68.79, None, None])
    assert all(row["splits"] == 2 and row["failed"] == 0 for row in rows)
    # Diffusion without a source lowers the energy, and the more so the longer it lasts.
    assert 1 > rows[0]["energy"] > rows[2]["energy"] > 0
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(kept) == 8
    own = [r["test_accuracy"] for r in kept if (r["model"], r["depth"]) == ("grand-l", 16)]
    assert rows[2]["test_accuracy"] == pytest.approx(100 * sum(own) / 2)
    assert picture.read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(program, "train", None)  # nothing is trained again
    assert rows_of(program, capsys, *arguments) == rows


def test_masks_have_the_shares_of_the_official_split_and_differ_between_splits(program):
    data = program.graph(program.SIZE.nodes // 50)
    first, again, other = (program.split_of(data, seed) for seed in (0, 0, 1))
    masks = torch.stack([first.train_mask, first.val_mask, first.test_mask])
    assert masks.sum(0).eq(1).all()  # every node is in one of them
    assert (50 * masks.sum(1)).tolist() == pytest.approx([90_941, 29_799, 48_603], abs=50)
    assert torch.equal(first.train_mask, again.train_mask)
    assert not torch.equal(first.train_mask, other.train_mask)
    assert "train_mask" not in data


def test_the_graph_has_the_sizes_and_the_homophily_of_arxiv(program):
    data = program.graph(20_000)
    row, col = data.edge_index
    assert data.num_edges == pytest.approx(2 * 20_000 * 1_166_243 / 169_343, rel=1e-3)
    assert (data.num_classes, data.num_features) == (40, 128)
    assert float((data.y[row] == data.y[col]).float().mean()) == pytest.approx(0.655, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--depths", "0"], "positive"),
        (["--heads", "5"], "multiple of 'heads'"),
        (["--optimizer", "SGD"], "SGD"),
        (["--nodes", "30"], "got"),
        (["--out", "nowhere/runs.jsonl"], "expected an existing folder"),
        (["--plot", "a.xyz"], "expected a file ending in"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(program, capsys, arguments, words):
    with pytest.raises(SystemExit) as stop:
        program.main([*SMALL, *arguments])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
