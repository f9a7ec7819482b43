"""Train GRAND with proximal and with adaptive explicit solvers (thesis section 5.4.3, Fig. 5.7).

Examples:
    python benchmarks/training_solvers.py --plot figure-5.7.png
    python benchmarks/training_solvers.py --solver prox_be dopri5 --epochs 5 --json

GRAND-nl on CoauthorCS to T = 10, as in the thesis: adaptive solvers with tolerance 1e-4 and adjoint
gradients, proximal ones with step 1.25, Fletcher-Reeves and inner tolerance 1e-4, and the gradient
of the implicit function theorem; "auto" is the default of the library. The other settings are
those of GRAND on this graph. Columns: evaluations of the right-hand side in the forward pass and
vector-Jacobian products in the backward pass, means over epochs; seconds of an epoch with its
evaluation; the last training loss; the best validation accuracy and the test accuracy then, in
percent. One thread. Repeat a run with --out to go on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from common import Row, add_kept, run_kept
from matplotlib.axes import Axes
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.data import load_dataset, low_label_split
from grandpp.solvers import SOLVER_NAMES, Solver, resolve_solver, solver_options
from grandpp.studies.low_label import tuned_run
from grandpp.studies.low_label.diffusion_settings import GRANDSettings
from grandpp.training import EpochValues, Record, train_run
from grandpp.training.command import OneLineParser
from grandpp.training.figures import line_styles, make_panels, save_figure
from grandpp.training.options import positive_int
from grandpp.training.record_file import RecordFile, RecordFormat
from grandpp.training.settings import constant

PROGRAM = "training_solvers"
SOLVERS = (
    "prox_be", "prox_cn", "prox_bdf2", "prox_bdf3", "adaptive_heun", "dopri5", "dopri8", "auto",
)  # fmt: skip
RECORDS = RecordFormat(
    ("dataset", "solver", "epochs", "labels"), ("status", "test_accuracy", "curves")
)
COLUMNS = tuple(f.name for f in fields(EpochValues))
TOLERANCE, STEP, END = 1e-4, 1.25, 10.0


@dataclass(frozen=True, kw_only=True)
class GivenSolverSettings(GRANDSettings):
    """GRAND whose solver is an object.

    Args:
        given: The solver.
    """

    given: Solver = constant()

    def solver_arguments(self, given_alone: bool = False) -> dict[str, Any]:
        """The solver, whose options are its own."""
        return {"solver": self.given}


def solver_of(name: str) -> Solver:
    """The solver with the settings of the thesis.

    Raises:
        ValueError: If the thesis has none for this kind of solver.
    """
    options = solver_options(name)
    if "inner" in options and "step_size" in options:
        return resolve_solver(name, step_size=STEP, inner="fr", inner_tol=TOLERANCE)
    if {"rtol", "atol"} <= set(options):
        explicit = "gradient" in options and "inner" not in options
        gradient = {"gradient": "adjoint"} if explicit else {}
        return resolve_solver(name, rtol=TOLERANCE, atol=TOLERANCE, **gradient)
    raise ValueError(f"expected adaptive or proximal solvers (got '{name}')")


@dataclass
class Curves:
    """What happens in every epoch of a run."""

    epochs: list[EpochValues] = field(default_factory=list)

    def epoch(self, values: EpochValues) -> None:
        """Keep the values."""
        self.epochs.append(values)

    def end(self, record: Record | None) -> None:
        """Nothing more is known."""


def train(name: str, split: Data, args: argparse.Namespace) -> Row:
    """Train once and return everything that the table and the picture show."""
    tuned = tuned_run(
        str(split.name), "grand-nl", args.labels_per_class, time=END, epochs=args.epochs
    )
    values = {f.name: getattr(tuned.settings, f.name) for f in fields(GRANDSettings)}
    given = replace(tuned, settings=GivenSolverSettings(**values, given=solver_of(name)))
    curves = Curves()
    result = train_run(given, split, torch.device("cpu"), log=curves)
    columns = {name: [getattr(e, name) for e in curves.epochs] for name in COLUMNS}
    return {
        "dataset": given.dataset,
        "solver": name,
        "epochs": args.epochs,
        "labels": args.labels_per_class,
        "status": result.status,
        "test_accuracy": result.test_accuracy,
        "curves": columns,
    }


def row_of(record: Row) -> Row:
    """The line of the table for a run."""
    curves = record["curves"]
    done = bool(curves["epoch"])
    test = record["test_accuracy"]
    return {
        "solver": record["solver"],
        "nfe_forward": mean(curves["nfe_forward"]) if done else None,
        "nfe_backward": mean(curves["nfe_backward"]) if done else None,
        "s_per_epoch": mean(curves["seconds"]) if done else None,
        "loss": curves["loss"][-1] if done else None,
        "val_accuracy": 100 * max(curves["val_accuracy"]) if done else None,
        "test_accuracy": None if test is None else 100 * test,
        "epochs": len(curves["epoch"]),
        "status": record["status"],
    }


def rows_of(records: list[Row]) -> list[Row]:
    """The lines of the table."""
    return [row_of(record) for record in records]


def study(args: argparse.Namespace, records: list[Row]) -> None:
    """Append one record per solver."""
    for name in args.solver:
        solver_of(name)
    file = RecordFile(args.out, RECORDS)
    data = load_dataset(args.dataset, args.root, progress=False)
    split = low_label_split(data, args.labels_per_class, 0)
    if not bool(split.val_mask.any()):
        raise ValueError(
            f"expected a graph with nodes left to validate (got none of {data.num_nodes} "
            f"with --labels-per-class {args.labels_per_class})"
        )
    asked = {"dataset": str(data.name), "epochs": args.epochs, "labels": args.labels_per_class}
    for name in tqdm(args.solver, desc=PROGRAM, unit="run"):
        record = file.find(asked | {"solver": name})
        if record is None:
            record = train(name, split, args)
            file.add(record)
        elif not set(COLUMNS) <= set(record["curves"]):
            raise ValueError(
                f"expected curves of every epoch in the run of {name} in {args.out} "
                f"(got {', '.join(record['curves']) or 'none'})"
            )
        records.append(record)


def draw(records: list[Row], path: Path) -> None:
    """Four panels, as in the thesis: evaluations, time, loss and validation accuracy by epoch."""
    figure, (evaluations, seconds, loss, accuracy) = make_panels(4, width=17, height=4.4)
    for record, style in zip(records, line_styles(), strict=False):
        curves = record["curves"]
        at = curves["epoch"]
        every = max(1, len(at) // 8)
        thin: dict[str, Any] = style | {"label": record["solver"], "markevery": every}
        both = [a + b for a, b in zip(curves["nfe_forward"], curves["nfe_backward"], strict=True)]
        elapsed = torch.tensor(curves["seconds"]).cumsum(0).tolist()
        shares = [100 * value for value in curves["val_accuracy"]]
        for axes, values in (
            (evaluations, both), (seconds, elapsed), (loss, curves["loss"]), (accuracy, shares)
        ):  # fmt: skip
            axes.plot(at, values, **thin)
    for axes, letter, title in (
        (evaluations, "a", "evaluations, forward and backward"),
        (seconds, "b", "seconds so far"),
        (loss, "c", "training loss"),
        (accuracy, "d", "validation accuracy (%)"),
    ):
        _label(axes, f"({letter}) {title}")
    evaluations.set_ylim(bottom=0)
    seconds.set_yscale("log")
    accuracy.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    save_figure(figure, path, dpi=120)


def _label(axes: Axes, title: str) -> None:
    axes.set(xlabel="epoch", title=title)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    form = argparse.RawDescriptionHelpFormatter
    options = OneLineParser(prog=PROGRAM, description=__doc__, formatter_class=form)
    add = options.add_argument
    add("--dataset", default="CoauthorCS", metavar="NAME", help="(default: CoauthorCS)")
    add("--solver", nargs="+", choices=SOLVER_NAMES, default=list(SOLVERS), metavar="NAME",
        help=f"(default: {' '.join(SOLVERS)})")  # fmt: skip
    add("--epochs", type=positive_int, default=50, metavar="N", help="(default: 50)")
    add("--labels-per-class", type=positive_int, default=20, metavar="K", help="(default: 20)")
    add("--root", type=Path, help="folder of raw data files")
    add_kept(add)
    return run_kept(PROGRAM, options.parse_args(argv), study, rows_of, draw)


if __name__ == "__main__":
    sys.exit(main())
