"""Accuracy of clusters grown from few labels, beside Poisson learning; nothing is trained.

Examples:
    python benchmarks/clusters.py
    python benchmarks/clusters.py --dataset Cora Photo --labels-per-class 1 20 --splits 20 --json

Splits of the protocol "grand", accuracy in percent on the test nodes. "clusters" are those of
grow_clusters on the three views of graph_views, "chosen" those of choose_clusters, whose weights
and rounds the validation nodes choose, "diffused" the seeded clusters of diffused_components,
"poisson" Poisson learning. Repeat a run with --out to go on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import Table
from torch import Tensor
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.data import DatasetError, load_dataset, low_label_split
from grandpp.models import (
    GraphViews,
    PoissonLearning,
    choose_clusters,
    diffused_components,
    graph_views,
    grow_clusters,
    seeded_clusters,
)
from grandpp.training.command import Console, OneLineParser
from grandpp.training.options import positive_int

PROGRAM = "clusters"
GRAPHS = ("Cora", "CiteSeer", "PubMed", "CoauthorCS", "Photo", "Computers")
METHODS = ("clusters", "chosen", "diffused", "poisson")


class Prepared:
    """What a graph needs once, made when it is first asked for."""

    def __init__(self, name: str, root: Path | None) -> None:
        self.data: Data = load_dataset(name, root, progress=False)
        self._views: GraphViews | None = None
        self._diffused: Tensor | None = None

    @property
    def views(self) -> GraphViews:
        """The three views."""
        if self._views is None:
            self._views = graph_views(self.data.x, self.data.edge_index)
        return self._views

    def clusters(self, split: Data) -> Tensor:
        """Labels by the clusters of all views."""
        return grow_clusters(self.views, split.train_mask, split.y, split.num_classes).label

    def chosen(self, split: Data) -> Tensor:
        """Labels by the clusters that validation nodes choose."""
        arguments = (split.train_mask, split.y, split.num_classes, split.val_mask)
        return choose_clusters(self.views, *arguments).label

    def diffused(self, split: Data) -> Tensor:
        """Labels by the clusters of diffused features."""
        if self._diffused is None:
            self._diffused = diffused_components(self.data.x, self.data.edge_index)
        embedding = self._diffused
        return seeded_clusters(embedding, split.train_mask, split.y, split.num_classes).label

    def poisson(self, split: Data) -> Tensor:
        """Labels by Poisson learning."""
        model = PoissonLearning(split.num_classes)
        index = split.train_mask.nonzero().view(-1)
        model.fit_labels(index, split.y[index])
        return model.logits(split.x, split.edge_index).argmax(dim=1)


def accuracy(found: Tensor, split: Data) -> float:
    """Percent of the test nodes."""
    return 100 * float((found == split.y)[split.test_mask].double().mean())


def read_done(path: Path | None) -> dict[str, float]:
    """Accuracies of an earlier run by key."""
    if path is None or not path.exists():
        return {}
    lines = (json.loads(line) for line in path.read_text().splitlines() if line)
    return {row["key"]: row["accuracy"] for row in lines}


def keep(path: Path | None, key: str, value: float) -> None:
    """Append one accuracy."""
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps({"key": key, "accuracy": value}) + "\n")


def study(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Append one row per graph and number of labels."""
    done = read_done(args.out)
    seeds = range(args.first_split, args.first_split + args.splits)
    total = len(args.dataset) * len(args.labels_per_class) * len(seeds) * len(args.method)
    with tqdm(total=total, desc=PROGRAM, unit="run") as bar:
        for name in args.dataset:
            graph = Prepared(name, args.root)
            for labels in args.labels_per_class:
                found: dict[str, list[float]] = {}
                for seed in seeds:
                    split = low_label_split(graph.data, labels, seed)
                    for method in args.method:
                        key = f"{name} {labels} {seed} {method}"
                        if key not in done:
                            classify: Callable[[Data], Tensor] = getattr(graph, method)
                            done[key] = accuracy(classify(split), split)
                            keep(args.out, key, done[key])
                        found.setdefault(method, []).append(done[key])
                        bar.update()
                rows.append(row_of(name, labels, found))


def row_of(name: str, labels: int, found: dict[str, list[float]]) -> dict[str, Any]:
    """Mean and standard deviation of each method."""
    row: dict[str, Any] = {"dataset": name, "labels": labels}
    for method, values in found.items():
        row |= {method: statistics.mean(values), f"{method}_sd": statistics.pstdev(values)}
    return row


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    form = argparse.RawDescriptionHelpFormatter
    options = OneLineParser(prog=PROGRAM, description=__doc__, formatter_class=form)
    add = options.add_argument
    add("--dataset", nargs="+", default=list(GRAPHS), help="(default: all six)")
    add("--labels-per-class", nargs="+", type=positive_int, default=[1, 2, 5, 20], metavar="N")
    add("--splits", type=positive_int, default=20, metavar="N", help="(default: 20)")
    add("--first-split", type=int, default=0, metavar="N", help="(default: 0)")
    add("--method", nargs="+", choices=METHODS, default=list(METHODS), help="(default: all)")
    add("--root", type=Path, help="folder of raw data files")
    add("--out", type=Path, metavar="FILE", help="keep every accuracy; runs there are not repeated")
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
