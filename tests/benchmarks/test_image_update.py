"""The benchmark of image updates on 8x8 digits; nothing is timed."""

from __future__ import annotations

import json
from statistics import geometric_mean

import pytest


@pytest.fixture
def program(monkeypatch, load):
    load("common")
    module = load("image_update")
    monkeypatch.setattr(module, "keep_freed_memory", lambda: True)
    return module


def test_every_way_solves_the_same_model_and_the_means_are_geometric(program, capsys):
    line = "--dataset digits --batch-size 4 --updates 1 --rounds 1 --json --model hbnode"
    assert program.main([*line.split(), "--model", "anode"]) == 0
    rows = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    ways = list(program.WAYS)
    each, means = rows[:-4], rows[-4:]
    assert [(r["model"], r["way"]) for r in each] == [
        (model, way) for model in ("hbnode", "anode") for way in ways
    ]
    assert all(0 < r["error"] < 0.02 and r["gradient_error"] < 0.3 for r in each)
    for model in ("hbnode", "anode"):
        first, field = (r for r in each if r["model"] == model and r["way"] in ways[:2])
        assert first["nfe_forward"] == field["nfe_forward"]
        assert field["error"] == pytest.approx(first["error"], rel=0.05)
    for way, row in zip(ways, means, strict=True):
        shares = [r["ratio"] for r in each if r["way"] == way]
        assert row["way"] == way and row["ratio"] == pytest.approx(geometric_mean(shares))
    assert means[0]["ratio"] == 1.0


def test_missing_images_and_bad_options_are_one_line(program, capsys, monkeypatch, tmp_path):
    (tmp_path / "CIFAR10" / "raw" / "cifar-10-batches-bin").mkdir(parents=True)
    cases = (
        ["--dataset", "cifar10", "--root", str(tmp_path)],
        ["--tolerance", "0"],
        ["--dataset", "svhn"],
    )
    for arguments in cases:
        with pytest.raises(SystemExit) as stop:
            program.main(arguments)
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith("image_update: error: ") and error.count("\n") == 1
