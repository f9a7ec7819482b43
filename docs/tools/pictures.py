"""Draw the pictures of the documentation: ``python docs/tools/pictures.py``.

``docs/img/house.svg`` shows which package imports which, read from the imports of every module;
``docs/img/speed.svg`` shows rows of ``results/speed.json``.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "grandpp"
IMAGES = ROOT / "docs/img"
INK, PAPER, ACCENT, MUTED = "#1c3a5e", "#ffffff", "#2a78d6", "#8a97a8"

# Rows from the top, each importing only from rows below; None leaves room for arrows to pass.
FLOORS: tuple[tuple[str | None, ...], ...] = (
    ("__main__",),
    ("estimator", "distributed"),
    ("studies",),
    ("training",),
    ("data", "models", "sequence", "image"),
    ("layers",),
    ("fields", "solvers"),
    ("graph", "vector_field", None),
    ("linalg",),
)
ABOUT = {
    "__main__": "the command grandpp",
    "estimator": "NodeClassifier",
    "distributed": "shards, halo exchange",
    "studies": "one package per study",
    "training": "settings, loop, records, sweeps, statistics",
    "data": "graphs, splits,\nseries, images",
    "models": "node classifiers,\nclusters",
    "sequence": "ODE-RNNs",
    "image": "classifiers,\nflows",
    "layers": "what a PyG user imports",
    "fields": "right-hand sides; no solver",
    "solvers": "ODE solvers on tensors; no PyG",
    "graph": "edges, row-stochastic operator",
    "vector_field": "the protocol f(t, y)",
    "linalg": "sparse products with cached transposes, Krylov, singular systems",
}


def rooms() -> set[str]:
    """Packages and single modules right below the package."""
    single = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    return single | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def imported() -> dict[str, set[str]]:
    """Which room imports which, read from the source of every module."""
    known = rooms()
    found: dict[str, set[str]] = {room: set() for room in known}
    for path in sorted(PACKAGE.rglob("*.py")):
        own = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if own == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                # Modules of commands are named in a table and imported when they are run.
                names = [node.value] if re.fullmatch(r"grandpp(\.\w+)+", node.value) else []
            else:
                continue
            parts = [name.split(".") for name in names]
            found[own] |= {
                p[1] for p in parts if p[0] == "grandpp" and len(p) > 1 and p[1] in known
            }
        found[own].discard(own)
    return found


def nearest(uses: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Imports that no chain of other imports stands for; the arrows of the picture."""
    reach: dict[str, set[str]] = {}
    for room in (room for floor in reversed(FLOORS) for room in floor if room):
        reach[room] = set().union(uses[room], *(reach.get(other, set()) for other in uses[room]))
    return {
        (room, other)
        for room, others in uses.items()
        for other in others
        if not any(other in reach[between] for between in others - {other})
    }


def draw_house(path: Path) -> None:
    """The rooms as boxes, an arrow for each import that no chain of others stands for."""
    figure = _figure(9.5, 8.6)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, 10 * len(FLOORS)))
    axes.axis("off")
    places: dict[str, tuple[float, float]] = {}
    widths: dict[str, float] = {}
    for row, floor in enumerate(FLOORS):
        y = 10 * (len(FLOORS) - row) - 5
        width = min(70.0, 92 / len(floor))
        start = 50 - width * len(floor) / 2
        for column, room in enumerate(floor):
            if room is None:
                continue
            places[room] = (start + width * (column + 0.5), y)
            widths[room] = width - 3
            _box(axes, room, places[room], width - 3)
    for room, other in sorted(nearest(imported())):
        (x0, y0), (x1, y1) = places[room], places[other]
        half = 0.4 * widths[other]
        arrow = FancyArrowPatch(
            (x0, y0 - 3.2), (min(max(x0, x1 - half), x1 + half), y1 + 3.2), arrowstyle="-|>",
            mutation_scale=11, color=MUTED, linewidth=1.1, shrinkA=0, shrinkB=0, zorder=1,
        )  # fmt: skip
        axes.add_patch(arrow)
    _save(figure, path)


def _box(axes: Axes, room: str, place: tuple[float, float], width: float) -> None:
    x, y = place
    box = FancyBboxPatch(
        (x - width / 2, y - 3.2),
        width,
        6.4,
        boxstyle="round,pad=0,rounding_size=1",
        facecolor="#e8f0fa",
        edgecolor=INK,
        zorder=2,
    )
    axes.add_patch(box)
    lines = ABOUT[room].count("\n")
    axes.text(x, y + (1.4 if not lines else 1.9), room, ha="center", va="center", color=INK,
              fontsize=11.5, fontweight="bold", zorder=3)  # fmt: skip
    axes.text(x, y - (1.3 if not lines else 0.9), ABOUT[room], ha="center", va="center", color=INK,
              fontsize=8.5, linespacing=1.05, zorder=3)  # fmt: skip


def draw_speed(path: Path) -> None:
    """Time of a training epoch of GCN and GRAND-l, on a logarithmic axis."""
    tables = {t["name"]: t for t in json.loads((ROOT / "results/speed.json").read_text())["tables"]}
    rows = tables["epoch"]["rows"]
    figure = _figure(8, 3.2)
    axes = figure.add_subplot()
    for shift, column, name, colour in ((0.2, 1, "GCN (PyG)", MUTED), (-0.2, 2, "GRAND-l", ACCENT)):
        values = [float(row[column]) for row in rows]
        bars = axes.barh([len(rows) - i + shift for i in range(len(rows))], values, 0.36,
                         color=colour, label=name)  # fmt: skip
        axes.bar_label(bars, [f"{value:g}" for value in values], padding=3, fontsize=8, color=INK)
    axes.set(xscale="log", xlim=(10, 4000), xlabel="one training epoch, ms")
    axes.set_yticks([len(rows) - i for i in range(len(rows))], [row[0] for row in rows])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    figure.tight_layout()
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    """Write the same bytes for the same picture."""
    with mpl.rc_context({"svg.hashsalt": "grandpp", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    """Write both pictures."""
    draw_house(IMAGES / "house.svg")
    draw_speed(IMAGES / "speed.svg")


if __name__ == "__main__":
    main()
