"""The command ``grandpp suggest``: which nodes to label next."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from grandpp.estimator.classifier import NodeClassifier
from grandpp.estimator.labels import read_labels
from grandpp.estimator.options import GraphOptions, ModelOptions, check_files
from grandpp.training.atomic_files import write_whole
from grandpp.training.command import Command, Console
from grandpp.training.options import option, positive_int

ABOUT = """Choose the nodes whose labels would help most, with or without labels so far.

Examples:
    grandpp suggest --edges edges.csv --features features.csv --number 7 --out to_label.csv
    grandpp suggest --edges edges.csv --features features.csv --labels labels.csv --number 10

Without labels the nodes are the centres of as many clusters of features and graph, the largest
clusters first; more than 50 nodes are chosen so that every node is similar to one of them. With
labels of two classes or more a model is fitted, and nodes with uncertain predictions are preferred.
The table has one row per suggested node, the most useful first: rank, node, and with labels the
present prediction and its confidence.
"""


@dataclass(frozen=True, kw_only=True)
class SuggestOptions(GraphOptions, ModelOptions):
    """Options of ``grandpp suggest``."""

    number: int = option("number of nodes", default=10, parse=positive_int, metavar="N")
    out: Path | None = option("write the table", default=None, metavar="FILE.csv")


def run(options: SuggestOptions, console: Console) -> int:
    """Read the graph, fit where there are labels, choose, write."""
    check_files((), inputs=options.inputs, tables=(options.out,))
    data = options.read()
    console.show("\n".join(data.summary.lines()))
    classifier = NodeClassifier(
        options.model, seed=options.seed, ensemble=options.ensemble, epochs=options.epochs,
        calibration="none", device=options.device,
    )  # fmt: skip
    known = data.get("y") is not None and len(set(read_labels(data).codes.tolist()) - {-1}) > 1
    if known:
        with tqdm(unit="epoch", desc="fitting", disable=console.quiet, file=sys.stderr) as bar:

            def advance(total: int) -> None:
                bar.total = total
                bar.update()

            classifier.fit(data, on_epoch=advance)
    chosen = classifier.suggest(None if known else data, options.number)
    table = pd.DataFrame(
        {"rank": range(1, len(chosen) + 1), "node": [data.node_ids[i] for i in chosen]}
    )
    if known:
        table["guess"] = classifier.predict()[chosen]
        table["confidence"] = classifier.confidence()[chosen]
    if options.out is not None:
        write_whole(options.out, table.to_csv(index=False, float_format="%.6g").encode())
    report = {"graph": asdict(data.summary), "suggestions": table.to_dict("records")}
    report["written"] = [] if options.out is None else [str(options.out)]
    console.emit(report)
    console.show(table.to_string(index=False))
    if options.out is not None:
        console.show(f"written: {options.out}")
    return 0


COMMAND = Command("suggest", ABOUT, SuggestOptions, run)
