"""Accuracy against depth on a graph of ogbn-arxiv's size (the form of thesis Table 4.2).

Examples:
    python benchmarks/arxiv_depth.py --out runs.jsonl --plot table-4.2.png
    python benchmarks/arxiv_depth.py --depths 1 64 --epochs 5 --json
    python benchmarks/arxiv_depth.py --channels 162 --heads 2 --optimizer RMSprop --lr 0.00545 \\
        --epochs 100    # as GRAND's authors train on ogbn-arxiv

The graph is not ogbn-arxiv but a block model with its numbers of nodes, edges, classes and
features and its share of edges inside classes, 0.655. As many random nodes as in the official split
train (90,941), validate (29,799) and test (48,603). Accuracies are not comparable with the
thesis's; what can be compared is how they change with the depth T, and the two models.

The defaults are smaller and shorter than GRAND's settings, for a computer without GPU. Columns:
test accuracy at the best validation epoch and after the last, and the thesis's on ogbn-arxiv, in
percent; energy, the Dirichlet energy of the diffused features over that of the encoded ones, where
values near 0 mean over-smoothing; evaluations of the right-hand side per training forward pass;
seconds of the run. One thread. Repeat a run with --out to go on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from common import Row, run
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.data import sbm
from grandpp.data.graphs import EXPECTED_SIZES
from grandpp.studies.low_label import tuned_run
from grandpp.studies.thesis.printed import thesis_cells
from grandpp.training import train_run
from grandpp.training.command import OneLineParser
from grandpp.training.figures import check_picture, line_styles, make_panels
from grandpp.training.options import positive_float, positive_int
from grandpp.training.record_file import RecordFile, RecordFormat
from grandpp.training.settings import OPTIMIZERS

PROGRAM, ARXIV = "arxiv_depth", "ogbn-arxiv"
MODELS = ("grand-l", "grand++-l")
SIZE = EXPECTED_SIZES[ARXIV]
INSIDE_CLASSES = 0.655  # share of ogbn-arxiv's edges
TRAIN, VALIDATE = 90_941 / SIZE.nodes, 29_799 / SIZE.nodes  # shares of its official split
SETTINGS = ("channels", "heads", "optimizer", "lr", "epochs")
RECORDS = RecordFormat(
    ("nodes", "model", "depth", "split", *SETTINGS),
    ("status", "test_accuracy", "last_test_accuracy", "energy", "nfe", "seconds"),
)


def graph(nodes: int) -> Data:
    """The block model; with fewer nodes it has fewer edges, too."""
    edges = round(SIZE.edges * nodes / SIZE.nodes)
    return sbm(nodes, edges, SIZE.classes, SIZE.features, homophily=INSIDE_CLASSES)


def split_of(data: Data, split: int) -> Data:
    """Add random masks with the shares of ogbn-arxiv's split."""
    nodes = data.y.numel()
    order = torch.randperm(nodes, generator=torch.Generator().manual_seed(split))
    ends = (round(TRAIN * nodes), round((TRAIN + VALIDATE) * nodes))
    result = data.clone()
    for name, part in zip(("train", "val", "test"), order.tensor_split(ends), strict=True):
        mask = torch.zeros(nodes, dtype=torch.bool)
        mask[part] = True
        result[f"{name}_mask"] = mask
    return result


def train(data: Data, asked: Mapping[str, Any]) -> Row:
    """Train once; ``asked`` are the fields that tell runs apart."""
    chosen = tuned_run(
        ARXIV, asked["model"], 20, time=asked["depth"], features="binary", weight_decay=0.0,
        hidden=asked["channels"], **{name: asked[name] for name in SETTINGS[1:]},
    )  # fmt: skip
    result = train_run(chosen.on(asked["split"], 0), data, torch.device("cpu"))
    return {
        **asked,
        "status": result.status,
        "test_accuracy": result.test_accuracy,
        "last_test_accuracy": result.last_test_accuracy,
        "energy": result.energy,
        "nfe": result.nfe_forward,
        "seconds": result.seconds,
    }


def study(args: argparse.Namespace, records: list[Row]) -> None:
    """Append one record per split, depth and model."""
    file = RecordFile(args.out, RECORDS)
    data = graph(args.nodes)
    settings = {name: getattr(args, name) for name in SETTINGS}
    runs = [
        {"nodes": args.nodes, "model": model, "depth": depth, "split": split, **settings}
        for split in range(args.splits)
        for depth in args.depths
        for model in args.model
    ]
    for asked in tqdm(runs, desc=PROGRAM, unit="run"):
        record = file.find(asked)
        if record is None:
            record = train(split_of(data, asked["split"]), asked)
            file.add(record)
        records.append(record)


def rows_of(records: list[Row]) -> list[Row]:
    """The lines of the table: means over splits, per depth and model."""
    thesis = {(c.variant.model, c.depth): c.mean for c in thesis_cells("4.2")}
    rows = []
    for model, depth in dict.fromkeys((r["model"], r["depth"]) for r in records):
        own = [r for r in records if (r["model"], r["depth"]) == (model, depth)]
        printed = thesis.get((model, depth))
        rows.append({
            "model": model,
            "T": depth,
            "test_accuracy": _percent([r["test_accuracy"] for r in own]),
            "last_test_accuracy": _percent([r["last_test_accuracy"] for r in own]),
            "thesis": None if printed is None else 100 * printed,
            "energy": _mean([r["energy"] for r in own]),
            "nfe": _mean([r["nfe"] for r in own]),
            "seconds": _mean([r["seconds"] for r in own]),
            "splits": len(own),
            "failed": sum(r["status"] != "success" for r in own),
        })  # fmt: skip
    return rows


def _mean(values: list[float | None]) -> float | None:
    """The mean of the values that exist."""
    there = [value for value in values if value is not None]
    return mean(there) if there else None


def _percent(values: list[float | None]) -> float | None:
    result = _mean(values)
    return None if result is None else 100 * result


def draw(rows: list[Row], path: Path) -> None:
    """Two panels: accuracies against depth, with the thesis's on ogbn-arxiv, and energies."""
    figure, (accuracy, energy) = make_panels(2, width=11, height=4.4)
    models = list(dict.fromkeys(row["model"] for row in rows))
    for model, style in zip(models, line_styles(), strict=False):
        own = sorted((row for row in rows if row["model"] == model), key=lambda row: row["T"])
        hollow: dict[str, Any] = style | {"markerfacecolor": "white", "alpha": 0.6}
        for axes, column, name, look in (
            (accuracy, "test_accuracy", model, style),
            (accuracy, "thesis", f"{model}, thesis, ogbn-arxiv", hollow),
            (energy, "energy", model, style),
        ):
            points = [(row["T"], row[column]) for row in own if row[column] is not None]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, **look)
    for axes, title in (
        (accuracy, "(a) test accuracy (%)"),
        (energy, "(b) energy after diffusion / before"),
    ):
        axes.set(xlabel="T", xscale="log", title=title)
    accuracy.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    form = argparse.RawDescriptionHelpFormatter
    options = OneLineParser(prog=PROGRAM, description=__doc__, formatter_class=form)
    add = options.add_argument
    depths = sorted({c.depth for c in thesis_cells("4.2") if c.depth is not None})
    shown = " ".join(f"{depth:g}" for depth in depths)
    add("--model", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME",
        help=f"of {', '.join(MODELS)} (default: both)")  # fmt: skip
    add("--depths", nargs="+", type=positive_float, default=depths, metavar="T",
        help=f"integration times (default: {shown})")  # fmt: skip
    add("--splits", type=positive_int, default=1, metavar="N", help="(default: 1)")
    add("--nodes", type=positive_int, default=SIZE.nodes, metavar="N",
        help=f"size of the graph (default: {SIZE.nodes})")  # fmt: skip
    add("--channels", type=positive_int, default=32, metavar="N", help="(default: 32)")
    add("--heads", type=positive_int, default=1, metavar="N", help="of attention (default: 1)")
    add("--optimizer", choices=OPTIMIZERS, default="Adam", metavar="NAME",
        help=f"of {', '.join(OPTIMIZERS)} (default: Adam)")  # fmt: skip
    add("--lr", type=positive_float, default=0.02, metavar="RATE", help="(default: 0.02)")
    add("--epochs", type=positive_int, default=30, metavar="N", help="(default: 30)")
    add("--out", type=Path, metavar="FILE", help="keep every run; runs there are not repeated")
    add("--plot", type=Path, metavar="FILE", help="save a picture")
    add("--json", action="store_true", help="print one JSON line per row; the table goes to stderr")
    args = options.parse_args(argv)
    torch.set_num_threads(1)

    def measure(rows: list[Row]) -> None:
        records: list[Row] = []
        if args.plot is not None:
            check_picture(args.plot)
        try:
            study(args, records)
        finally:
            rows += rows_of(records)
            if rows and args.plot is not None:
                draw(rows, args.plot)

    return run(PROGRAM, measure, args.json)


if __name__ == "__main__":
    sys.exit(main())
