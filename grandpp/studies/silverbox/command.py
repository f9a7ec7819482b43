"""The command that measures how states grow on the Silverbox input."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tqdm import tqdm

from grandpp.data import load_silverbox
from grandpp.studies.silverbox.growth import GROWTH_MODELS, Growth, growth
from grandpp.studies.silverbox.report import draw_growth, log_end, table
from grandpp.training.command import Command, Console
from grandpp.training.figures import check_picture
from grandpp.training.options import (
    DataOptions,
    PlotOptions,
    ReportOptions,
    option,
    positive_int,
)

ABOUT = """\
How fast |h(t)| of untrained neural ODEs grows on the Silverbox input (Fig. 3 of both papers).

Examples:
    grandpp silverbox --draws 10
    grandpp silverbox --model hbnode ghbnode --json --plot silverbox.png

Columns: "log10 |h(64)|" is the mean over the draws, then its smallest and its largest; "max |h|" is
the largest norm at any of the times 0, 1, ..., 64 in any draw; "nfe" the mean evaluations.
"""


@dataclass(frozen=True, kw_only=True)
class SilverboxOptions(ReportOptions, PlotOptions, DataOptions):
    """Options of the command."""

    models: tuple[str, ...] = option(
        "untrained models, one or more of {choices}",
        flag="--model",
        choices=GROWTH_MODELS,
        default=GROWTH_MODELS,
        metavar="NAME",
        shown_default="all",
    )
    draws: int = option(
        "number of random initialisations per model", default=10, parse=positive_int
    )


def run(options: SilverboxOptions, console: Console) -> int:
    """Measure every draw of every model."""
    if options.plot:
        check_picture(options.plot)
    v1, v2 = load_silverbox(options.root)
    models = dict.fromkeys(options.models)
    jobs = [(model, draw) for model in models for draw in range(options.draws)]
    runs: list[Growth] = []
    console.kept = lambda: f"{len(runs)} finished draws are shown"
    try:
        for model, draw in tqdm(jobs, disable=console.quiet, unit="draw"):
            runs.append(growth(model, draw, v1, v2))
            console.emit(record(runs[-1]))
    finally:
        if runs:
            console.show(table(runs))
    if options.plot:
        draw_growth(runs, v2, options.plot)
    return 0


def record(run: Growth) -> dict[str, Any]:
    """A draw in plain values."""
    return {**asdict(run), "log10_h64": log_end(run)}


COMMAND = Command("silverbox", ABOUT, SilverboxOptions, run)
