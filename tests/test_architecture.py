"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "grandpp"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Whom each room may import from, besides itself.
ALLOWED = {
    "components": {"ops"},
    "graph": {"ops", "components"},
    "ops": set(),
    "series": set(),
    "elimination": set(),
    "singular": {"ops", "components", "elimination"},
    "solvers": {"ops", "graph", "components", "series", "singular"},
    "fields": {"ops", "graph", "components", "series", "singular"},
    "layers": {"fields", "solvers", "ops", "graph"},
    "models": {"layers", "fields", "solvers", "ops", "graph"},
    "image": {"layers", "fields", "solvers"},
    "sequence": {"layers", "fields", "solvers"},
    "data": {"graph"},
    "experiment": {"data", "models", "layers", "fields", "solvers", "singular", "ops", "graph"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    own = room(path)
    if own == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "grandpp" and len(parts) > 1 and (PACKAGE / parts[1]).exists():
            assert parts[1] == own or parts[1] in ALLOWED[own], f"{own} imports {name}"
        assert not (own == "solvers" and parts[0] == "torch_geometric"), name


def test_one_file_alone_imports_torchdiffeq():
    users = [p for p in MODULES if any(n.startswith("torchdiffeq") for n in imports(p))]
    assert [p.relative_to(PACKAGE).as_posix() for p in users] == ["solvers/torchdiffeq.py"]


def test_the_readmes_test_command_is_what_ci_runs():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci/run").read_text()
    assert re.search(r"<!-- test command -->\n```bash\n(.+?)\n```", readme, re.S)
    assert "<!-- test command -->" in ci
