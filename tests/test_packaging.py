"""What an installation gives: type checkers find the package, and wheels hold its data files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of what is installed, as building writes beside it."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(
        ROOT / "grandpp", tmp_path / "grandpp", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def built(checkout: Path, kind: str) -> zipfile.ZipFile:
    pytest.importorskip("setuptools", minversion="77")
    program = f"from setuptools import build_meta as b; print(b.build_{kind}('out'))"
    (checkout / "out").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=checkout, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(checkout / "out" / done.stdout.split()[-1])


def test_an_editable_install_is_a_path_that_type_checkers_follow(checkout):
    with built(checkout, "editable") as wheel:
        outside = [name for name in wheel.namelist() if ".dist-info/" not in name]
        assert len(outside) == 1 and outside[0].endswith(".pth")
        assert wheel.read(outside[0]).decode().strip() == str(checkout)


def test_a_wheel_holds_every_module_and_data_file_the_command_and_nothing_else(checkout):
    with built(checkout, "wheel") as wheel:
        inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (entries,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        assert "grandpp = grandpp.__main__:main" in wheel.read(entries).decode()
    assert any(name.endswith(".csv") for name in inside)
    expected = {
        path.relative_to(checkout).as_posix()
        for path in (checkout / "grandpp").rglob("*")
        if path.suffix in (".py", ".csv") or path.name == "py.typed"
    }
    assert inside == expected


def test_a_source_distribution_has_what_the_tests_read(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    ignored = ("__pycache__", "*.egg-info", "build", "dist", "_build", "*.jsonl", "*.lock", ".*")
    folders = ("grandpp", "tests", "scripts", "benchmarks", "docs", "results", ".ci", ".github")
    for name in folders:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(*ignored))
    wanted = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    for path in ROOT.iterdir():
        if path.is_file() and path.name not in (".git", ".gitignore"):
            shutil.copy(path, tmp_path / path.name)
            wanted.add(path.name)
    program = "from setuptools import build_meta as b; print(b.build_sdist('out'))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "out" / done.stdout.split()[-1]) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert wanted <= inside
    assert not any("__pycache__" in name for name in inside)


@pytest.mark.slow
def test_a_type_checker_sees_a_misspelt_keyword_of_a_layer(tmp_path):
    pytest.importorskip("mypy")
    program = tmp_path / "use.py"
    program.write_text(
        "from grandpp import CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv, NeuralODE\n"
        "import torch\n"
        "GRANDConv(4, time=3.0, mode='nonlinear', heads=2)\n"
        "GRANDConv(4, tme=3)\n"
        "GRANDPPConv(4, hedas=3)\n"
        "HeavyBallConv(4, atention=None)\n"
        "CGNNConv(4, slover='exact')\n"
        "NeuralODE(torch.nn.Tanh(), tme=3)\n"
    )
    # What torch is takes a minute to find out, and changes nothing about the keywords.
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nfollow_imports = silent\n"
        "[mypy-torch.*,torch_geometric.*,numpy.*,scipy.*,matplotlib.*]\nfollow_imports = skip\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), str(program)],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    wrong = [line for line in done.stdout.splitlines() if "Unexpected keyword" in line]
    assert [int(line.split(":")[1]) for line in wrong] == [4, 5, 6, 7, 8], done.stdout
