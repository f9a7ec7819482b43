"""The solver benchmark as a user meets it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "solver_benchmark.py"


@pytest.fixture
def main(monkeypatch):
    spec = importlib.util.spec_from_file_location("solver_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "solver_benchmark", module)  # dataclasses look it up
    spec.loader.exec_module(module)
    return module.main


def test_exact_diffusion_meets_its_tolerance_with_a_root_of_the_products(main, capsys, tmp_path):
    picture = tmp_path / "p.png"
    arguments = ["--problem", "diffusion1d", "--solver", "exact", "--json", "--plot", str(picture)]
    assert main(arguments) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["tolerance"] for r in rows] == [1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    for row in rows:
        assert row["status"] == "success"
        assert row["error"] <= row["tolerance"]
        assert row["nfe"] <= 1000  # tau is 32,258
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_explicit_step_beyond_stability_is_reported_as_failed(main, capsys):
    arguments = ["--problem", "diffusion1d", "--solver", "euler", "--tolerance", "1e-3", "--json"]
    assert main(arguments) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["status"] == "non_finite"
    assert row["error"] is None


def test_an_unknown_problem_is_one_line_and_exit_code_two(main, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--problem", "magic"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
