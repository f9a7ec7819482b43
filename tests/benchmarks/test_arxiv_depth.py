"""The study of depth on a graph of ogbn-arxiv's size, on a smaller one."""

from __future__ import annotations

import json

import pytest
import torch

from grandpp.studies.thesis import LAYOUTS
from grandpp.studies.thesis.printed import thesis_cells

SMALL = ["--nodes", "2000", "--channels", "8", "--epochs", "2", "--depths", "1", "16"]
ASKED = {
    "model": "grand++-l", "time": 3.0, "split": 4, "channels": 24, "heads": 2,
    "optimizer": "RMSprop", "lr": 0.3, "epochs": 7,
}  # fmt: skip


@pytest.fixture
def program(load):
    load("common")
    return load("arxiv_depth")


def rows_of(program, capsys, *arguments):
    assert program.main([*SMALL, "--json", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def kept(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_both_models_at_every_depth_are_kept_and_not_repeated(
    program, capsys, tmp_path, monkeypatch
):
    out, picture = tmp_path / "runs.jsonl", tmp_path / "depth.png"
    arguments = ("--splits", "2", "--depths", "1", "16", "1", "--out", str(out))
    rows = rows_of(program, capsys, *arguments, "--plot", str(picture))
    assert [(row["model"], row["time"]) for row in rows] == [
        ("grand-l", 1), ("grand++-l", 1), ("grand-l", 16), ("grand++-l", 16)
    ]  # fmt: skip
    assert all(row["runs"] == 2 and row["failed"] == 0 for row in rows)
    # Diffusion without a source lowers the energy, and the more so the longer it lasts.
    assert 1 > rows[0]["energy"] > rows[2]["energy"] > 0
    assert rows[2]["nfe_forward"] > rows[0]["nfe_forward"]
    runs = kept(out)
    # Split by split, so that a sweep cut short has something at every depth.
    assert [run["split"] for run in runs] == [0] * 4 + [1] * 4
    assert runs[0]["test_accuracy"] != runs[4]["test_accuracy"]
    own = [run for run in runs if (run["model"], run["time"]) == ("grand-l", 16)]
    for name in ("test_accuracy", "last_test_accuracy", "val_accuracy"):
        assert rows[2][name] == pytest.approx(sum(run[name] for run in own) / 2)
    assert picture.read_bytes().startswith(b"\x89PNG")
    # Nothing is trained again; with other settings everything is.
    monkeypatch.setattr(program, "train_run", None)
    assert rows_of(program, capsys, *arguments) == rows
    for other in (["--lr", "0.1"], ["--nodes", "2100"], ["--heads", "2"]):
        with pytest.raises(TypeError, match="not callable"):
            program.study(parsed(program, monkeypatch, [*SMALL, *arguments, *other]), [])


def parsed(program, monkeypatch, arguments):
    """The options of a command line."""
    found = []
    with monkeypatch.context() as patch:
        patch.setattr(program, "study", lambda args, records: found.append(args))
        assert program.main(arguments) == 0
    return found[0]


def test_a_run_has_the_settings_that_were_asked_for(program):
    run = program.run_of(ASKED)
    settings = run.settings
    assert (run.model, run.split, settings.time, settings.hidden) == ("grand++-l", 4, 3.0, 24)
    assert (settings.heads, settings.optimizer, settings.lr) == (2, "RMSprop", 0.3)
    assert (settings.epochs, settings.features, settings.weight_decay) == (7, "binary", 0.0)


def test_the_record_of_a_run_is_what_training_gives(program, capsys, tmp_path):
    out = tmp_path / "runs.jsonl"
    arguments = ("--model", "grand-l", "--depths", "4", "--splits", "2", "--out", str(out))
    rows_of(program, capsys, *arguments)
    record = kept(out)[1]
    data = program.split_of(program.graph(2000), 1)
    again = program.train_run(program.run_of(record), data, torch.device("cpu"))
    for name in set(program.RECORDS.required) - {"seconds"}:
        assert record[name] == getattr(again, name), name
    assert record["edges"] == data.num_edges // 2


def test_the_defaults_are_the_depths_of_the_thesis(program, monkeypatch):
    args = parsed(program, monkeypatch, [])
    assert args.depths == sorted({cell.depth for cell in thesis_cells("4.2")})
    assert (args.nodes, args.splits) == (169_343, 1)
    assert "4.2" not in LAYOUTS  # it is here


def test_finished_runs_are_shown_after_ctrl_c(program, capsys, monkeypatch):
    calls, train = [], program.train_run

    def interrupted(*arguments):
        if calls:
            raise KeyboardInterrupt
        calls.append(arguments)
        return train(*arguments)

    monkeypatch.setattr(program, "train_run", interrupted)
    assert program.main([*SMALL, "--json"]) == 130
    captured = capsys.readouterr()
    assert [json.loads(line)["model"] for line in captured.out.splitlines()] == ["grand-l"]
    assert "interrupted; 1 finished rows follow" in captured.err


def test_failed_runs_are_counted_and_say_why(program, capsys, tmp_path):
    out = tmp_path / "runs.jsonl"
    arguments = ("--model", "grand-l", "--depths", "1", "--lr", "1e30", "--out", str(out))
    (row,) = rows_of(program, capsys, *arguments)
    assert (row["runs"], row["failed"], row["test_accuracy"]) == (0, 1, None)
    assert kept(out)[0]["message"]


def test_masks_have_the_shares_of_the_official_split_and_differ_between_splits(program):
    data = program.graph(program.NODES // 50)
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
    # 1,166,243 citations, 8,444 of which answer another one.
    assert data.num_edges == pytest.approx(2 * 20_000 * 1_157_799 / 169_343, abs=2)
    assert (data.num_classes, data.num_features) == (40, 128)
    assert float((data.y[row] == data.y[col]).float().mean()) == pytest.approx(0.655, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--depths", "0"], "positive"),
        (["--heads", "5"], "multiple of 'heads'"),
        (["--optimizer", "SGD"], "SGD"),
        (["--nodes", "30"], "expected --nodes of at least 40"),
        (["--out", "nowhere/runs.jsonl"], "expected an existing folder"),
        (["--plot", "a.xyz"], "expected a file ending in"),
        (["--out", "a.png", "--plot", "a.png"], "expected a file of records, not a picture"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(program, capsys, arguments, words):
    with pytest.raises(SystemExit) as stop:
        program.main([*SMALL, *arguments])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_too_little_memory_is_one_line_and_exit_code_2(program, capsys, monkeypatch):
    def too_large(nodes):
        raise MemoryError("Unable to allocate 1. PiB")

    monkeypatch.setattr(program, "graph", too_large)
    with pytest.raises(SystemExit) as stop:
        program.main(SMALL)
    assert stop.value.code == 2
    assert "memory did not suffice" in capsys.readouterr().err.splitlines()[-1]


def test_a_fault_of_the_program_is_not_taken_for_too_little_memory(program, monkeypatch):
    def broken(nodes):
        raise RuntimeError("a fault")

    monkeypatch.setattr(program, "graph", broken)
    with pytest.raises(RuntimeError, match="a fault"):
        program.main(SMALL)


def test_a_picture_that_cannot_be_written_hides_no_rows(program, capsys, monkeypatch, tmp_path):
    def full(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(program, "draw_depth", full)
    with pytest.raises(SystemExit) as stop:
        program.main([*SMALL, "--json", "--plot", str(tmp_path / "a.png")])
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 4
    assert "No space left" in captured.err.splitlines()[-1]
