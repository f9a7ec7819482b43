"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "grandpp"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Whom each room may import from, besides itself; a room is a package or a single module.
_MATHS = {"linalg", "graph", "vector_field"}
_MODELS = {"layers", "fields", "solvers", *_MATHS}
_TRAINING = {"models", "sequence", "image", "data", *_MODELS}
_STUDIES = {"training", *_TRAINING}
ALLOWED = {
    "linalg": set(),
    "graph": {"linalg"},
    "vector_field": set(),
    "solvers": _MATHS,
    "fields": _MATHS,
    "layers": {"fields", "solvers", *_MATHS},
    "data": {"graph", "linalg"},
    "models": _MODELS,
    "sequence": _MODELS,
    "image": _MODELS,
    "training": _TRAINING,
    "estimator": {"studies", *_STUDIES} - {"sequence", "image"},
    "distributed": {"studies", *_STUDIES} - {"sequence", "image"},
    "studies": _STUDIES,
    "__main__": {"studies", "estimator", "distributed", *_STUDIES},
}
# Libraries that a room does without.
FORBIDDEN = {"solvers": ("torch_geometric",)}
# Studies that stand on another one: the thesis's tables are runs of the models of few labels.
STANDS_ON = {"thesis": {"low_label"}}
# Modules that break a rule for now: (module, what it imports) -> why.
EXCEPTIONS: dict[tuple[str, str], str] = {}


def name_of(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: expected an absolute import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms(package: Path) -> set[str]:
    """Packages and single modules right below the package."""
    inside = {p.stem for p in package.glob("*.py")} - {"__init__"}
    return inside | {p.parent.name for p in package.glob("*/__init__.py")}


def violations(path: Path, package: Path = PACKAGE) -> list[str]:
    """Imports of one module that go the wrong way."""
    module = name_of(path, package)
    if module == "grandpp":
        return []
    own = module.split(".")[1]
    if own not in ALLOWED:
        return [f"{module} is in a room without a rule"]
    known, wrong = rooms(package), []
    for name in sorted(imports(path)):
        parts = name.split(".")
        if parts[0] in FORBIDDEN.get(own, ()):
            wrong.append(f"{module} imports {name}")
        if parts[0] != "grandpp" or len(parts) == 1 or parts[1] not in known:
            continue
        if (module, ".".join(parts[1:])) in EXCEPTIONS:
            continue
        if parts[1] != own and parts[1] not in ALLOWED[own]:
            wrong.append(f"{module} imports {name}")
        if own == parts[1] == "studies":
            study = module.split(".")[2:3]
            if study and parts[2] not in {study[0], *STANDS_ON.get(study[0], ())}:
                wrong.append(f"{module} imports another study: {name}")
    return wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    assert violations(path) == []


def test_every_room_with_a_rule_of_today_is_found():
    assert rooms(PACKAGE) >= {"graph", "vector_field", "linalg", "solvers", "training", "studies"}


def test_programs_and_benchmarks_are_imported_by_no_module():
    for path in MODULES:
        assert not {n.split(".")[0] for n in imports(path)} & {"scripts", "benchmarks", "tests"}


PLANTED = [
    ("graph.py", "from grandpp.fields import squareplus", "fields"),
    ("graph.py", "from grandpp.data.edges import edges_of", "data"),
    ("vector_field.py", "import grandpp.graph", "graph"),
    ("linalg/csr.py", "from grandpp import graph", "graph"),
    ("linalg/csr.py", "from grandpp.vector_field import BoundField", "vector_field"),
    ("solvers/linear/steady.py", "from grandpp.fields.base import generator", "fields"),
    ("solvers/solve.py", "def f():\n    from torch_geometric.utils import scatter", "scatter"),
    ("fields/base.py", "from grandpp.solvers import solve", "solvers"),
    ("data/edges.py", "import grandpp.models.base as base", "models"),
    ("models/base.py", "from grandpp.training import train_run", "training"),
    ("training/loop.py", "from grandpp.studies.thesis import reproduce", "studies"),
    ("studies/flows/runs.py", "from grandpp.studies.images.runs import IMAGE_KEY", "images"),
    ("studies/flows/runs.py", "from grandpp.studies import images", "images"),
    ("studies/low_label/zoo.py", "from grandpp.studies.thesis import layouts", "thesis"),
    ("cellar.py", "import math", "without a rule"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "line", "found"), PLANTED, ids=[f"{p[0]}-{p[2]}" for p in PLANTED]
)
def test_a_planted_violation_is_seen(tmp_path, file, line, found):
    package = tmp_path / "grandpp"
    for path in [*MODULES, PACKAGE / file]:
        copy = package / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("")
    planted = package / file
    assert file == "cellar.py" or violations(planted, package) == []
    planted.write_text(line + "\n")
    (wrong,) = violations(planted, package)
    assert found in wrong


def test_one_file_alone_imports_torchdiffeq():
    users = [p for p in MODULES if any(n.startswith("torchdiffeq") for n in imports(p))]
    assert [p.relative_to(PACKAGE).as_posix() for p in users] == ["solvers/explicit/torchdiffeq.py"]


def test_the_readmes_test_command_is_what_ci_runs():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci/run").read_text()
    assert re.search(r"<!-- test command -->\n```bash\n(.+?)\n```", readme, re.S)
    assert "<!-- test command -->" in ci
