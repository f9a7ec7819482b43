"""Accuracy from suggested nodes beside random ones and uncertain ones.

Examples:
    python benchmarks/suggest.py
    python benchmarks/suggest.py --dataset Cora --per-class 1 2 5 --seeds 10 --json
    python benchmarks/suggest.py --dataset Cora CiteSeer --curve --seeds 5 --plot curve.png
    python benchmarks/suggest.py --dataset Cora --model auto --out runs.jsonl

"suggested" are as many nodes as classes (times --per-class) chosen by suggest_from_views without
any label, "random" as many nodes drawn at random, "one_per_class" the training nodes of a split of
the protocol "grand" (labels per class as given), which no one who has no labels could draw.
"uncertainty" begins with as many random nodes as classes and adds as many in rounds, those with the
least margin between the two most probable classes of the present prediction.
Accuracy in percent on all other nodes; nodes of classes without a chosen node count as wrong.
"met" is the mean number of classes with a suggested node. The model is the clusters alone, or with
--model one that NodeClassifier trains. Repeat a run with --out to go on where it stopped.
"""

from __future__ import annotations

import argparse
import copy
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
from grandpp.estimator import NodeClassifier
from grandpp.models import grow_clusters, suggest_from_views
from grandpp.studies.low_label.zoo import MODELS
from grandpp.training.command import Console, OneLineParser
from grandpp.training.figures import check_picture, line_styles, make_panels, save_figure
from grandpp.training.options import positive_int

PROGRAM = "suggest"
WAYS = ("suggested", "random", "one_per_class", "uncertainty")
CLUSTERS = "clusters of views"
LABELS = {
    "suggested": "suggested",
    "random": "random",
    "one_per_class": "random, the same number of every class",
    "uncertainty": "least margin, in rounds",
}


def choose(graph: Prepared, way: str, per_class: int, seed: int, model: str) -> Tensor:
    """Nodes to label."""
    classes = int(graph.data.num_classes)
    if way == "suggested":
        return suggest_from_views(graph.views, per_class * classes, seed=seed)
    if way == "one_per_class":
        return low_label_split(graph.data, per_class, seed).train_mask.nonzero().view(-1)
    order = torch.randperm(len(graph.data.y), generator=torch.Generator().manual_seed(seed))
    if way == "random":
        return order[: per_class * classes]
    nodes = order[:classes]
    for _ in range(per_class - 1):
        proba, _ = predict(graph, nodes, model, seed)
        least = _margin(proba)
        least[nodes] = torch.inf
        # In a random order, so that nodes with equal margins are not those of small numbers.
        more = order[least[order].argsort(stable=True)[:classes]]
        nodes = torch.cat([nodes, more])
    return nodes


def _margin(proba: Tensor) -> Tensor:
    best = proba.topk(min(2, proba.size(1)), dim=1).values
    return best[:, 0] - best[:, 1] if best.size(1) == 2 else torch.zeros(len(proba))


def predict(graph: Prepared, nodes: Tensor, model: str, seed: int) -> tuple[Tensor, Tensor]:
    """Probabilities ``[N, M]`` of the M classes that the nodes have, and these classes."""
    y = graph.data.y
    met = y[nodes].unique()
    if model == CLUSTERS or len(met) == 1:
        label = torch.full_like(y, -1)
        label[nodes] = torch.searchsorted(met, y[nodes])
        return grow_clusters(graph.views, nodes, label, len(met)).score.float(), met
    known = torch.full_like(y, -1)
    known[nodes] = y[nodes]
    data = copy.copy(graph.data)
    data.y = known
    clf = NodeClassifier(model, seed=seed, calibration="none").fit(data)
    return torch.from_numpy(clf.predict_proba()).float(), torch.from_numpy(clf.classes_)


def outcome(graph: Prepared, nodes: Tensor, model: str, seed: int) -> tuple[float, int]:
    """Percent of the other nodes that are right, and the number of classes met."""
    y = graph.data.y
    proba, met = predict(graph, nodes, model, seed)
    found = met[proba.argmax(dim=1)]
    others = torch.ones_like(y, dtype=torch.bool)
    others[nodes] = False
    return 100 * float((found == y)[others].double().mean()), len(met)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw accuracy against labels per class, a panel per data set."""
    names = list(dict.fromkeys(row["dataset"] for row in rows))
    figure, axes = make_panels(len(names), 5 * len(names), 4)
    for panel, name in zip(axes, names, strict=True):
        own = [row for row in rows if row["dataset"] == name]
        for way, style in zip([w for w in WAYS if w in own[0]], line_styles(), strict=False):
            x = [row["per_class"] for row in own]
            panel.plot(x, [row[way] for row in own], label=LABELS[way], **style)
        panel.set_title(name)
        panel.set_xlabel("labels / number of classes")
        panel.set_ylabel("accuracy in percent")
    axes[0].legend(frameon=False)
    save_figure(figure, path)


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
    total = len(args.dataset) * len(args.per_class) * len(seeds) * len(args.way)
    with tqdm(total=total, desc=PROGRAM, unit="run") as bar:
        for name in args.dataset:
            graph = Prepared(name, args.root)
            for per_class in args.per_class:
                row: dict[str, Any] = {"dataset": name, "per_class": per_class}
                for way in args.way:
                    found = []
                    for seed in seeds:
                        # Outcomes of the clusters have the keys that they always had.
                        own = "" if args.model == CLUSTERS else f" {args.model}"
                        key = f"{name} {per_class} {seed} {way}{own}"
                        if key not in done:
                            nodes = choose(graph, way, per_class, seed, args.model)
                            done[key] = list(outcome(graph, nodes, args.model, seed))
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
    add("--per-class", nargs="+", type=positive_int, metavar="N",
        help="nodes over the number of classes (default: 1; with --curve 1 to 10)")  # fmt: skip
    add("--curve", action="store_true", help="accuracy against the number of labels")
    add("--plot", type=Path, metavar="FILE", help="draw the curves")
    add("--way", nargs="+", choices=WAYS,
        help=f"of {', '.join(WAYS)} (default: the first three; with --curve all)")  # fmt: skip
    add("--model", default=CLUSTERS, choices=(CLUSTERS, "auto", *MODELS), metavar="NAME",
        help="auto or a model of the zoo (default: the clusters alone)")  # fmt: skip
    add("--seeds", type=positive_int, default=10, metavar="N", help="(default: 10)")
    add("--first-seed", type=int, default=0, metavar="N", help="(default: 0)")
    add("--root", type=Path, help="folder of raw data files")
    add("--out", type=Path, metavar="FILE", help="keep every outcome; runs there are not repeated")
    add("--json", action="store_true", help="print one JSON line per row; the table goes to stderr")
    args = options.parse_args(argv)
    args.per_class = args.per_class or (list(range(1, 11)) if args.curve else [1])
    args.way = args.way or list(WAYS if args.curve else WAYS[:3])
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    code = 0
    try:
        if args.plot is not None:
            check_picture(args.plot)
        study(args, rows)
        if args.plot is not None:
            draw(rows, args.plot)
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
