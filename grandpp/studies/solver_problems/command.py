"""The command that measures solvers, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from grandpp.studies.solver_problems.base import Row, StudyRequest
from grandpp.studies.solver_problems.registry import STUDIES, resolve_study
from grandpp.training.command import Command, Console
from grandpp.training.figures import check_picture
from grandpp.training.options import PlotOptions, ReportOptions
from grandpp.training.tables import aligned

ABOUT = """\
Measure solvers: error against evaluations, and the pictures of thesis chapter 5.

Examples:
    grandpp solver --problem grand
    grandpp solver --problem diffusion1d --json --plot fig_5_3.png
    grandpp solver --problem diffusion1d --solver prox_bdf2 --tolerance 5e-4 \\
        --inner-tol 1e-3 1e-5 1e-7 --inner fr anderson
    grandpp solver --problem prothero --plot fig_5_2.png
    grandpp solver --problem trajectories --plot trajectories.png

Columns: "tolerance" is the step of a fixed-step method, rtol and atol of an adaptive one; "error"
is relative to the largest entry of the exact solution, "max_error" absolute; "nfe" counts every
evaluation of the right-hand side, those of inner solvers and error estimates included; "-" stands
where a solve failed, and "status" says why. On Ctrl-C the finished rows are printed.
With --json the last line is a summary of the rows.

Problems:
""" + "".join(f"    {name:<14}{kind.about}\n" for name, kind in STUDIES.items())


@dataclass(frozen=True, kw_only=True)
class SolverOptions(ReportOptions, PlotOptions, StudyRequest):
    """Options of the command."""


def run(options: SolverOptions, console: Console) -> int:
    """Do the jobs of a study, sum up their rows and draw them."""
    if options.plot:
        check_picture(options.plot)
    study = resolve_study(replace(options, notify=console.notice))
    rows: list[Row] = []
    console.kept = lambda: f"{len(rows)} finished rows are shown"
    try:
        with tqdm(study.jobs(), unit="job", disable=console.quiet) as jobs:
            for job in jobs:
                jobs.set_description(job.label)
                for row in job.run():
                    rows.append(row)
                    console.emit(row)
    finally:
        if rows:
            summary = study.summary(rows)
            if summary:
                console.emit({"summary": summary})
            console.show(f"{table(rows)}{_summary_text(summary)}")
            if options.plot:
                study.draw(rows, options.plot)
    return 0


def table(rows: Sequence[Row]) -> str:
    """One line per row, without columns that are empty."""
    used = [k for k in list(rows[0])[1:] if any(row[k] is not None for row in rows)]
    return aligned(used, [[cell(row[k]) for k in used] for row in rows])


def _summary_text(summary: Row) -> str:
    text = ""
    for name, value in summary.items():
        text += f"\n\n{name}: {value}" if not isinstance(value, dict) else f"\n\n{name}:"
        for key, entry in value.items() if isinstance(value, dict) else ():
            text += f"\n  {key:<16}{cell(entry)}"
    return text


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{k} {cell(v)}" for k, v in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


COMMAND = Command("solver", ABOUT, SolverOptions, run)
