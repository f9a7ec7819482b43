"""Accuracy from suggested nodes beside random ones, with the clusters alone as the model.

Examples:
    python benchmarks/suggest.py
    python benchmarks/suggest.py --dataset Cora --per-class 1 2 5 --seeds 10 --json

"suggested" are as many nodes as classes (times --per-class) chosen by suggest_from_views without
any label, "random" as many nodes drawn at random, "one_per_class" the training nodes of a split of
the protocol "grand" (labels per class as given), which no one who has no labels could draw.
Accuracy in percent on all other nodes; nodes of classes without a chosen node count as wrong.
"met" is the mean number of classes with a suggested node. Repeat a run with --out to go on where
it stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from clusters import GRAPHS, Prepared
from common import Table
from torch import Tensor
from tqdm import tqdm

from grandpp.data import DatasetError, low_label_split
from grandpp.models import grow_clusters, suggest_from_views
from grandpp.training.command import Console, OneLineParser
from grandpp.training.options import positive_int

PROGRAM = "suggest"
WAYS = ("suggested", "random", "one_per_class")


def choose(graph: Prepared, way: str, per_class: int, seed: int) -> Tensor:
    """Nodes to label."""
    number = per_class * int(graph.data.num_classes)
    if way == "suggested":
        return suggest_from_views(graph.views, number, seed=seed)
    if way == "random":
        generator = torch.Generator().manual_seed(seed)
        return torch.randperm(len(graph.data.y), generator=generator)[:number]
    return low_label_split(graph.data, per_class, seed).train_mask.nonzero().view(-1)


def outcome(graph: Prepared, nodes: Tensor) -> tuple[float, int]:
    """Percent of the other nodes that are right, and the number of classes met."""
    y = graph.data.y
    met = y[nodes].unique()
    label = torch.full_like(y, -1)
    label[nodes] = torch.searchsorted(met, y[nodes])
    found = met[grow_clusters(graph.views, nodes, label, len(met)).label]
    others = torch.ones_like(y, dtype=torch.bool)
    others[nodes] = False
    return 100 * float((found == y)[others].double().mean()), len(met)


def read_done(path: Path | None) -> dict[str, list[float]]:
    """Outcomes of an earlier run by key."""
    if path is None or not path.exists():
        return {}
    lines = (json.loads(line) for line in path.read_text().splitlines() if line)
    return {row["key"]: row["outcome"] for row in lines}


def study(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Append one row per graph and number of labels."""
    done = read_done(args.out)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    total = len(args.dataset) * len(args.per_class) * len(seeds) * len(WAYS)
    with tqdm(total=total, desc=PROGRAM, unit="run") as bar:
        for name in args.dataset:
            graph = Prepared(name, args.root)
            for per_class in args.per_class:
                row: dict[str, Any] = {"dataset": name, "per_class": per_class}
                for way in WAYS:
                    found = []
                    for seed in seeds:
                        key = f"{name} {per_class} {seed} {way}"
                        if key not in done:
                            done[key] = list(outcome(graph, choose(graph, way, per_class, seed)))
                            if args.out is not None:
                                with args.out.open("a") as file:
                                    line = json.dumps({"key": key, "outcome": done[key]})
                                    file.write(line + "\n")
                        found.append(done[key])
                        bar.update()
                    row[way] = statistics.mean(a for a, _ in found)
                    if way == "suggested":
                        row["met"] = statistics.mean(m for _, m in found)
                rows.append(row)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    form = argparse.RawDescriptionHelpFormatter
    options = OneLineParser(prog=PROGRAM, description=__doc__, formatter_class=form)
    add = options.add_argument
    add("--dataset", nargs="+", default=list(GRAPHS), help="(default: all six)")
    add("--per-class", nargs="+", type=positive_int, default=[1], metavar="N",
        help="nodes per class, repeatable (default: 1)")  # fmt: skip
    add("--seeds", type=positive_int, default=10, metavar="N", help="(default: 10)")
    add("--first-seed", type=int, default=0, metavar="N", help="(default: 0)")
    add("--root", type=Path, help="folder of raw data files")
    add("--out", type=Path, metavar="FILE", help="keep every outcome; runs there are not repeated")
    add("--json", action="store_true", help="print one JSON line per row; the table goes to stderr")
    args = options.parse_args(argv)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    code = 0
    try:
        study(args, rows)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted; {len(rows)} finished rows follow\n")
        code = 130
    except (ValueError, DatasetError, OSError) as error:
        raise SystemExit(Console(PROGRAM).complain(error)) from None
    if rows:
        Table(rows).show(args.json)
    return code


if __name__ == "__main__":
    sys.exit(main())
