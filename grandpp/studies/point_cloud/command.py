"""The command that trains point-cloud classifiers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from tqdm import tqdm

from grandpp.image import POINT_CLOUD_MODELS, POINT_CLOUD_SOLVERS, describe
from grandpp.studies.point_cloud.report import draw_point_cloud, table
from grandpp.studies.point_cloud.training import SNAPSHOTS, PointCloudRun, train_point_cloud
from grandpp.training.command import Command, Console
from grandpp.training.figures import check_picture
from grandpp.training.options import (
    DescribeOptions,
    PlotOptions,
    RecordOptions,
    ReportOptions,
    SeedOptions,
    option,
    positive_int,
)
from grandpp.training.record_file import Record, RecordFile, RecordFormat

ABOUT = """\
Separate a disc from the ring around it with neural ODEs of first and second order.

Examples:
    grandpp point-cloud --describe
    grandpp point-cloud --runs 5 --out runs.jsonl --plot point_cloud.png
    grandpp point-cloud --model node hbnode --runs 1 --epochs 50 --json

Run the second command again after an interruption: runs already in the file are not repeated.
Columns: "final loss" is the mean squared error of all points after the last epoch, "< 0.05" the
number of runs that got below, "nfe" the evaluations of one solve, the mean over all epochs, and
"last" those of the last epoch.
"""

_KEY = ("model", "seed", "epochs", "solver", "start")
POINT_CLOUD_RECORDS = RecordFormat(
    key=_KEY,
    required=tuple(f.name for f in fields(PointCloudRun) if f.name not in _KEY),
    earlier={"start": "random"},
)
"""Records of :class:`PointCloudRun`; the output's bias of older runs was drawn."""


@dataclass(frozen=True, kw_only=True)
class PointCloudOptions(ReportOptions, DescribeOptions, PlotOptions, RecordOptions, SeedOptions):
    """Options of the command."""

    models: tuple[str, ...] = option(
        "classifiers of points, one or more of {choices}",
        flag="--model",
        choices=tuple(POINT_CLOUD_MODELS),
        default=(),
        metavar="NAME",
        shown_default="the paper's five",
    )
    epochs: int = option(
        "passes over the points; the default is the paper's", default=300, parse=positive_int
    )
    solver: str = option(
        "solver; the paper uses dopri5", default="tsit5", choices=POINT_CLOUD_SOLVERS
    )


def run(options: PointCloudOptions, console: Console) -> int:
    """Train the models, or describe them."""
    if options.describe:
        shown = {m: describe(m) for m in options.models or tuple(POINT_CLOUD_MODELS)}
        console.answer(shown if len(shown) > 1 else next(iter(shown.values())))
        return 0
    if options.plot:
        check_picture(options.plot)
    found: list[Record] = []
    console.kept = lambda: f"{len(found)} finished runs are {options.where}"
    try:
        _run_all(options, console, found)
    finally:
        if found:
            console.show(table(found))
            if options.plot:
                draw_point_cloud(found, SNAPSHOTS, options.plot)
    return 0


def _run_all(options: PointCloudOptions, console: Console, found: list[Record]) -> None:
    """Do the runs that are not in the file yet; append all to ``found``."""
    models = tuple(dict.fromkeys(options.models or tuple(POINT_CLOUD_MODELS)[:5]))
    file = RecordFile(options.out, POINT_CLOUD_RECORDS)
    for model, seed in [(model, seed) for seed in options.seeds for model in models]:
        planned = PointCloudRun(model, seed, options.epochs, options.solver)
        record = file.find(asdict(planned))
        if record is None:
            record = asdict(_run_one(planned, console))
            file.add(record)
        found.append(record)
        console.emit({k: v for k, v in record.items() if k != "snapshots"})


def _run_one(planned: PointCloudRun, console: Console) -> PointCloudRun:
    label = f"{planned.model} {planned.seed}"
    with tqdm(total=planned.epochs, desc=label, disable=console.quiet) as bar:

        def on_epoch(loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()

        return train_point_cloud(
            planned.model, planned.seed, planned.epochs, solver=planned.solver, on_epoch=on_epoch
        )


COMMAND = Command("point-cloud", ABOUT, PointCloudOptions, run)
