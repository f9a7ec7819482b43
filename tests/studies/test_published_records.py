"""Published files of records still resume: the README's commands find every run in them."""

from __future__ import annotations

import gzip
from importlib import import_module
from pathlib import Path

import pytest
from programs import runner

RESULTS = Path(__file__).parents[2] / "results"
MODELS = "--model node anode hbnode ghbnode adamnode"
COMMANDS = [
    ("point-cloud", "point_cloud", "--runs 5 --epochs 100", 25),
    ("walker2d", "sequences", "--dataset walker2d --model hbnode node --runs 3 --epochs 12 "
     "--windows 6144 --lr 0.01 --tolerance 1e-7", 6),
    ("plane-vibration", "sequences", "--dataset plane-vibration --runs 3", 15),
    ("mnist", "images", "--dataset mnist --solver dopri5 --tol 1e-3 --train 960 --test 500 "
     f"--batch-size 32 --epochs 2 {MODELS}", 5),
    ("digits", "images", "--dataset digits --solver dopri5 --model node anode sonode "
     "--model hbnode ghbnode --tolerances 1e-3 1e-4 1e-5 1e-6", 5),
]  # fmt: skip

STARTS = {"point_cloud": "train_point_cloud", "sequences": "load_sequences",
          "images": "load_images"}  # fmt: skip


@pytest.mark.parametrize(("name", "study", "line", "runs"), COMMANDS, ids=lambda c: str(c)[:16])
def test_a_published_file_resumes_without_any_run(
    name, study, line, runs, tmp_path, monkeypatch, capsys
):
    copy = tmp_path / f"{name}.jsonl"
    content = gzip.decompress((RESULTS / f"{name}.jsonl.gz").read_bytes())
    copy.write_bytes(content)
    main = runner(import_module(f"grandpp.studies.{study}.command").COMMAND, "program")
    # A run that is missing would begin with this.
    monkeypatch.setattr(f"grandpp.studies.{study}.command.{STARTS[study]}", pytest.fail)
    options = [*line.split(), "--json", "--quiet", "--out", str(copy)]
    assert main(options) == 0
    assert capsys.readouterr().out.count("\n") == runs
    assert copy.read_bytes() == content
