"""Accuracy against depth on a graph of ogbn-arxiv's size (the form of thesis Table 4.2).

Examples:
    python benchmarks/arxiv_depth.py --out runs.jsonl --plot arxiv-depth.png
    python benchmarks/arxiv_depth.py --nodes 10000 --depths 1 64 --json
    python benchmarks/arxiv_depth.py --channels 162 --heads 2 --optimizer RMSprop --lr 0.00545 \\
        --epochs 100    # channels, heads, optimizer, rate and epochs of GRAND's authors

The graph is not ogbn-arxiv but a block model with its numbers of nodes, undirected edges, classes
and features and its share of edges inside classes, 0.655; features are binary. As many random nodes
as in the official split train (90,941), validate (29,799) and test (48,603). Accuracies are not
comparable with the thesis's; what can be compared is how they change with the depth T, and the two
models.

The defaults are smaller and shorter than GRAND's settings, for a computer without GPU. Accuracies
are fractions: at the best validation epoch, and after the last one. "energy" is the Dirichlet
energy of the diffused features over that of the encoded ones after the last epoch, averaged
geometrically: near 0 all nodes look alike. "nfe_forward" counts the products of a training forward
pass. A failed run is counted as failed and is in no mean. One thread. Repeat a run with --out to go
on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from common import SIZES, Row, add_kept, run_kept
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.data import sbm
from grandpp.data.graphs import EXPECTED_SIZES
from grandpp.studies.low_label import tuned_run
from grandpp.studies.low_label.depth_report import draw_depth, summarise
from grandpp.studies.thesis.printed import thesis_cells
from grandpp.training import train_run
from grandpp.training.command import OneLineParser
from grandpp.training.options import positive_float, positive_int
from grandpp.training.record_file import RecordFile, RecordFormat
from grandpp.training.settings import OPTIMIZERS, Run

PROGRAM, ARXIV = "arxiv_depth", "ogbn-arxiv"
MODELS = ("grand-l", "grand++-l")
NODES, EDGES, CLASSES = SIZES["sbm-170k"]
FEATURES = EXPECTED_SIZES[ARXIV].features
INSIDE_CLASSES = 0.655  # share of ogbn-arxiv's edges
TRAIN, VALIDATE = 90_941 / NODES, 29_799 / NODES  # shares of its official split
SETTINGS = ("channels", "heads", "optimizer", "lr", "epochs")
RECORDS = RecordFormat(
    ("nodes", "edges", "model", "time", "split", *SETTINGS),
    ("status", "message", "val_accuracy", "test_accuracy", "last_test_accuracy", "energy",
     "nfe_forward", "seconds"),
)  # fmt: skip


def graph(nodes: int) -> Data:
    """The block model; with fewer nodes it has fewer edges, too.

    Raises:
        ValueError: If there are fewer nodes than classes.
    """
    if nodes < CLASSES:
        raise ValueError(f"expected --nodes of at least {CLASSES}, the classes (got {nodes})")
    return sbm(nodes, edges_of(nodes), CLASSES, FEATURES, homophily=INSIDE_CLASSES)


def edges_of(nodes: int) -> int:
    """The number of undirected edges of the block model."""
    return round(EDGES * nodes / NODES)


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


def run_of(asked: Row) -> Run:
    """The run with the settings that were asked for.

    Raises:
        ValueError: If one is out of range.
    """
    chosen = tuned_run(
        ARXIV, asked["model"], 20, time=asked["time"], features="binary", weight_decay=0.0,
        hidden=asked["channels"], **{name: asked[name] for name in SETTINGS[1:]},
    )  # fmt: skip
    return chosen.on(asked["split"], 0)


def study(args: argparse.Namespace, records: list[Row]) -> None:
    """Append one record per split, depth and model."""
    size = {"nodes": args.nodes, "edges": edges_of(args.nodes)}
    settings = {name: getattr(args, name) for name in SETTINGS}
    plan = [
        {**size, "model": model, "time": time, "split": split, **settings}
        for split in range(args.splits)
        for time in dict.fromkeys(args.depths)
        for model in dict.fromkeys(args.model)
    ]
    runs = [run_of(asked) for asked in plan]  # refused before any work
    file = RecordFile(args.out, RECORDS)
    data = graph(args.nodes)
    for asked, chosen in zip(tqdm(plan, desc=PROGRAM, unit="run"), runs, strict=True):
        record = file.find(asked)
        if record is None:
            result = train_run(chosen, split_of(data, asked["split"]), torch.device("cpu"))
            record = asked | {name: asdict(result)[name] for name in RECORDS.required}
            file.add(record)
        records.append(record)


def rows_of(records: list[Row]) -> list[Row]:
    """The lines of the table, one per model and depth."""
    return summarise([record | {"config": {"time": record["time"]}} for record in records])


def draw(records: list[Row], path: Path) -> None:
    """Accuracies and energies against depth."""
    nodes, epochs = records[0]["nodes"], records[0]["epochs"]
    splits = len({record["split"] for record in records})
    title = f"block model, {nodes} nodes, {epochs} epochs, splits: {splits}"
    draw_depth(rows_of(records), title, path)


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
    add("--nodes", type=positive_int, default=NODES, metavar="N",
        help=f"size of the graph (default: {NODES})")  # fmt: skip
    add("--channels", type=positive_int, default=32, metavar="N", help="(default: 32)")
    add("--heads", type=positive_int, default=1, metavar="N", help="of attention (default: 1)")
    add("--optimizer", choices=OPTIMIZERS, default="Adam", metavar="NAME",
        help=f"of {', '.join(OPTIMIZERS)} (default: Adam)")  # fmt: skip
    add("--lr", type=positive_float, default=0.02, metavar="RATE", help="(default: 0.02)")
    add("--epochs", type=positive_int, default=20, metavar="N", help="(default: 20)")
    add_kept(add)
    return run_kept(PROGRAM, options.parse_args(argv), study, rows_of, draw)


if __name__ == "__main__":
    sys.exit(main())
