"""Figures of solver measurements; the colours are those of Okabe and Ito (2008)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from grandpp.studies.solver_problems.problems import Landscape

if TYPE_CHECKING:
    from grandpp.studies.solver_problems.euler import EulerErrors
from grandpp.training.figures import COLOURS, line_styles, make_panels, save_figure

# Below this lies rounding; a logarithmic axis cannot show zero.
_FLOOR = 1e-16


def draw_error_against_nfe(
    rows: Sequence[Mapping[str, Any]], title: str, target: float, path: Path
) -> None:
    """Relative error at the end against evaluations, one line per solver (thesis Fig. 5.3)."""
    figure, (axes,) = make_panels(1, width=7.5, height=5)
    _error_against_nfe(axes, rows)
    axes.axhline(target, color="0.4", linestyle=":", linewidth=1)
    axes.annotate(f"target {target:.0e}", (0.01, target), xycoords=("axes fraction", "data"),
                  va="bottom", color="0.4", fontsize=8)  # fmt: skip
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    save_figure(figure, path)


def _error_against_nfe(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    styles = line_styles()
    groups = [(r["solver"], r["inner"], r["inner_tol"]) for r in rows]
    several = len(set(groups)) > len({g[0] for g in groups})
    for group in dict.fromkeys(groups):
        own = [r for r, g in zip(rows, groups, strict=True) if g == group]
        good = [r for r in own if r["error"] is not None]
        solver, inner, tol = group
        detail = [str(part) for part in (inner, tol) if part is not None]
        label = f"{solver} ({', '.join(detail)})" if several and detail else solver
        axes.loglog([r["nfe"] for r in good], [max(r["error"], _FLOOR) for r in good],
                    label=label if good else f"{label}: failed", **next(styles))  # fmt: skip
    axes.set(xlabel="evaluations of the right-hand side", ylabel="relative error at the end")
    low, high = axes.get_xlim()
    if high < 100 * low:  # too few powers of ten to read the axis by
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())  # its labels would overlap


def draw_error_over_time(
    errors: EulerErrors, rows: Sequence[Mapping[str, Any]], title: str, path: Path
) -> None:
    """Euler methods over time, and all solvers against evaluations (thesis Fig. 5.2)."""
    figure, (left, middle, right) = make_panels(3, width=16, height=5.4)
    ts = errors.ts
    shades = cycle(COLOURS)
    for tol, error in errors.proximal.items():
        colour = next(shades)
        for axes in (left, middle):
            axes.semilogy(ts, error.clamp_min(_FLOOR), color=colour, linewidth=1.5,
                          label=f"proximal, inner tolerance {tol:.0e}")  # fmt: skip
    left.semilogy(ts, errors.backward.clamp_min(_FLOOR), "k--", linewidth=1.2, zorder=5,
                  label="backward Euler by formula")  # fmt: skip
    middle.semilogy(ts, errors.forward.clamp_min(_FLOOR), "k:", linewidth=1.8, zorder=5,
                    label="forward Euler")  # fmt: skip
    left.set_title("(a) proximal and backward Euler, step 0.01")
    middle.set_title("(b) proximal and forward Euler, step 0.01")
    for axes in (left, middle):
        axes.set(xlabel="time t", ylabel="absolute error")
        axes.legend(fontsize=8, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    _error_against_nfe(right, rows)
    right.set_title("(c) all solvers at the end")
    right.legend(fontsize=8, ncol=4, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    figure.suptitle(title)
    save_figure(figure, path)


def draw_inner_convergence(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], path: Path
) -> None:
    """Smallest residual so far and distance of its state against evaluations (thesis Fig. 5.4)."""
    figure, (left, right) = make_panels(2, width=11, height=4.8)
    styles = line_styles()
    for name, (residuals, distances) in curves.items():
        style = next(styles) | {"markevery": max(1, len(residuals) // 8), "markersize": 4}
        count = range(1, len(residuals) + 1)
        left.semilogy(count, [max(r, _FLOOR) for r in residuals], label=name, **style)
        right.semilogy(count, [max(d, _FLOOR) for d in distances], label=name, **style)
    left.set(title="(a) residual", ylabel="RMS of g(z) / (1 + |z|), best so far")
    right.set(title="(b) distance to the solution", ylabel="Euclidean distance of that state")
    for axes in (left, right):
        axes.set(xlabel="evaluations of the right-hand side", xscale="log")
    right.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.suptitle("One backward Euler step of the heat equation, s = 1/2000, 128 points")
    save_figure(figure, path)


def draw_time_against_size(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Milliseconds of one step, and its evaluations, against grid points (thesis Fig. 5.5)."""
    figure, (left, right) = make_panels(2, width=11, height=4.6)
    styles = line_styles()
    for name in dict.fromkeys(r["inner"] for r in rows):
        good = [r for r in rows if r["inner"] == name and r["status"] == "success"]
        sizes, style = [r["points"] for r in good], next(styles)
        label = "newton_raphson (dense)" if name == "newton_raphson" else name
        left.loglog(sizes, [1e3 * r["seconds"] for r in good], label=label, base=2, **style)
        right.loglog(sizes, [r["nfe"] for r in good], label=label, base=2, **style)
    left.set(title="(a) time", ylabel="milliseconds, median of 5", yscale="log")
    right.set(title="(b) evaluations", ylabel="evaluations of the right-hand side", yscale="log")
    ticks = sorted({r["points"] for r in rows})
    for axes in (left, right):
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.set_xlabel("grid points")
    left.legend()
    figure.suptitle("One backward Euler step of the heat equation, s = 1/2000, tolerance 1e-8")
    save_figure(figure, path)


def draw_nfe_against_tolerance(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Forward and backward evaluations against the tolerance (thesis Fig. 5.1)."""
    figure, panels = make_panels(2, width=10, height=4.4)
    titles = {"nfe": "(a) forward solve", "nfe_backward": "(b) adjoint solve"}
    for axes, (column, title) in zip(panels, titles.items(), strict=True):
        styles = line_styles()
        for solver in dict.fromkeys(r["solver"] for r in rows):
            own = [r for r in rows if r["solver"] == solver and r[column] is not None]
            good = [r for r in own if r["status"] == "success"]
            axes.loglog([r["tolerance"] for r in good], [r[column] for r in good],
                        label=solver, **next(styles))  # fmt: skip
        axes.set(title=title, xlabel="tolerance", ylabel="evaluations")
        axes.invert_xaxis()
    panels[0].legend()
    figure.suptitle("GRAND-l with random attention, one solve to T = 10 and its adjoint")
    save_figure(figure, path)


def draw_trajectories(
    landscapes: Sequence[Landscape], paths: Mapping[tuple[str, str], Tensor], path: Path
) -> None:
    """Paths over contour lines of log spacing, a star at each minimum (HBNODE paper Fig. 2)."""
    figure, panels = make_panels(2, width=12, height=5.4)
    for axes, landscape in zip(panels, landscapes, strict=True):
        own = {m: p for (name, m), p in paths.items() if name == landscape.name}
        points = torch.cat([torch.tensor([landscape.minimum]), *own.values()])
        low, high = points.amin(0), points.amax(0)
        margin = 0.12 * (high - low)
        x, y = torch.meshgrid(*(torch.linspace(float(a), float(b), 300).double() for a, b in
                                zip(low - margin, high + margin, strict=True)),
                              indexing="xy")  # fmt: skip
        value = landscape.value(torch.stack([x, y], dim=-1)).clamp_min(1e-12).log10()
        lines = axes.contourf(x, y, value, levels=torch.arange(-3, 4.01, 0.5), cmap="Greys",
                              extend="both", alpha=0.55)  # fmt: skip
        axes.contour(x, y, value, levels=torch.arange(-3, 4.01, 0.5), colors="0.55",
                     linewidths=0.5, linestyles="solid")  # fmt: skip
        for (method, line), colour in zip(own.items(), cycle(COLOURS), strict=False):
            axes.plot(*line.T, color=colour, linewidth=2.2, label=method)
            axes.plot(*line[-1], "o", color=colour, markeredgecolor="white", markersize=8)
        axes.plot(*landscape.minimum, "*", color="#F0E442", markeredgecolor="black",
                  markersize=18, label="minimum")  # fmt: skip
        axes.grid(visible=False)
        axes.set(title=f"{landscape.name}, t from 0 to {landscape.end:g}, "
                 f"heavy ball γ = {landscape.gamma}", xlabel="x", ylabel="y")  # fmt: skip
        axes.legend(loc="upper left")
    figure.colorbar(lines, ax=panels, label="log10 F", pad=0.01)
    save_figure(figure, path)
