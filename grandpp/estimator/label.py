"""The command ``grandpp label``: from a graph and a few labels to a label for every node."""

from __future__ import annotations

import copy
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.estimator.classifier import NodeClassifier
from grandpp.estimator.evaluation import Evaluation, evaluate, hold_out
from grandpp.estimator.figures import draw_map, draw_reliability
from grandpp.estimator.labels import Labels, places, read_labels
from grandpp.estimator.options import GraphOptions, ModelOptions, check_files
from grandpp.estimator.predictions import prediction_table, write_predictions
from grandpp.training.command import Command, Console
from grandpp.training.options import option

ABOUT = """Label the nodes of your own graph from the labels of a few.

Examples:
    grandpp label --edges edges.csv --features features.csv --labels labels.csv \\
        --out predictions.csv --plot map.png
    grandpp label --edges edges.csv --labels labels.csv --evaluate 0.2 \\
        --plot-reliability reliability.png
    grandpp label --edges graph.npz --out predictions.csv --ensemble 5 --save model.pt

The table has a row per node: node, label, confidence, given (1 where the label was given; it is
kept) and the probability of each class. Confidence is the probability of the label; it is
calibrated on labelled nodes that are held out in turn, which trains up to five models more; see
--no-calibration. With --evaluate, a model that has not seen a share of the labelled nodes is
measured on them first; the predictions come from a model that has seen all.
"""


@dataclass(frozen=True, kw_only=True)
class LabelOptions(GraphOptions, ModelOptions):
    """Options of ``grandpp label``."""

    out: Path | None = option("write the predictions", default=None, metavar="FILE.csv")
    evaluate: float | None = option(
        "hold this share of the labelled nodes of each class out and report accuracy, macro-F1, "
        "log-loss and calibration error on them",
        default=None,
        metavar="SHARE",
    )
    validation: float | None = option(
        "share of the labelled nodes that choose the epoch instead of training",
        default=None,
        metavar="SHARE",
    )
    no_calibration: bool = option("take the softmax as it is", default=False)
    plot: Path | None = option(
        "draw a map of the nodes, by class and confidence", default=None, metavar="FILE"
    )
    plot_reliability: Path | None = option(
        "with --evaluate, draw confidence against accuracy", default=None, metavar="FILE"
    )
    save: Path | None = option(
        "save the model, for grandpp predict", default=None, metavar="FILE.pt"
    )


def run(options: LabelOptions, console: Console) -> int:
    """Read the graph, fit, predict, write."""
    check_files((options.out, options.save), (options.plot, options.plot_reliability))
    if options.plot_reliability is not None and options.evaluate is None:
        raise ValueError("expected --evaluate with --plot-reliability (got none)")
    start = time.perf_counter()
    data = options.read()
    console.show("\n".join(data.summary.lines()))
    labels = read_labels(data)
    measured = None if options.evaluate is None else _measure(options, data, labels, console)
    classifier = _fit(options, data, "fitting", console)
    proba = classifier.predict_proba()
    given = classifier.given_ >= 0
    if options.out is not None:
        table = prediction_table(data.node_ids, classifier.classes_, proba, given)
        write_predictions(table, options.out)
    if options.save is not None:
        classifier.save(options.save)
    if options.plot is not None:
        names = [str(name) for name in classifier.classes_]
        label = proba.argmax(axis=1)
        draw_map(data, label, names, proba.max(axis=1), given, options.plot, options.seed)
    report = _report(data, classifier, measured, time.perf_counter() - start)
    console.emit(report)
    console.show(_in_words(report, options))
    return 0


def _fit(options: LabelOptions, data: Data, what: str, console: Console) -> NodeClassifier:
    classifier = NodeClassifier(
        options.model,
        seed=options.seed,
        ensemble=options.ensemble,
        validation=options.validation,
        epochs=options.epochs,
        calibration="none" if options.no_calibration else "auto",
        device=options.device,
    )
    with tqdm(unit="epoch", desc=what, disable=console.quiet, file=sys.stderr) as bar:

        def advance(total: int) -> None:
            bar.total = total
            bar.update()

        return classifier.fit(data, on_epoch=advance)


def _measure(options: LabelOptions, data: Data, labels: Labels, console: Console) -> Evaluation:
    """Fit without a share of the labels and measure on these."""
    held = hold_out(labels, float(options.evaluate or 0), options.seed)
    part = copy.copy(data)
    part.train_mask = torch.from_numpy((labels.codes >= 0) & ~held)
    classifier = _fit(options, part, "evaluating", console)
    right = places(labels.classes[labels.codes[held]], classifier.classes_)
    found = evaluate(classifier.predict_proba()[held], right)
    if options.plot_reliability is not None:
        draw_reliability(found.reliability, options.plot_reliability)
    return found


def label_homophily(data: Data, codes: NDArray[np.int64]) -> tuple[float | None, int]:
    """Share of the edges between labelled nodes that join nodes of one class, and their number.

    Args:
        data: The graph.
        codes: Classes, -1 for none known ``[N]``.
    """
    source, target = data.edge_index.cpu().numpy()
    both = (codes[source] >= 0) & (codes[target] >= 0) & (source != target)
    if not both.any():
        return None, 0
    return float((codes[source] == codes[target])[both].mean()), int(both.sum())


def _report(
    data: Data, classifier: NodeClassifier, measured: Evaluation | None, seconds: float
) -> dict[str, Any]:
    """What the command found, by name."""
    given = classifier.given_
    homophily, pairs = label_homophily(data, given)
    counts = np.bincount(given[given >= 0], minlength=len(classifier.classes_))
    confidence = classifier.confidence()[given < 0]
    return {
        "nodes": data.num_nodes,
        "edges": data.num_edges,
        "features": data.num_features,
        "labelled": {str(c): int(n) for c, n in zip(classifier.classes_, counts, strict=True)},
        "homophily_of_labels": homophily,
        "edges_between_labels": pairs,
        "model": classifier.run_.model,
        "temperature": classifier.temperature_ if classifier.calibrated_ else None,
        "mean_confidence": float(confidence.mean()) if confidence.size else None,
        "held_out": None if measured is None else measured.as_row(),
        "seconds": seconds,
    }


def _in_words(report: dict[str, Any], options: LabelOptions) -> str:
    """The report as lines of text."""
    labelled = report["labelled"]
    shown = [f"{name}: {count}" for name, count in list(labelled.items())[:12]]
    more = f", and {len(labelled) - 12} more" if len(labelled) > 12 else ""
    share, pairs = report["homophily_of_labels"], report["edges_between_labels"]
    lines = [
        f"labels       {sum(labelled.values())} nodes of {len(labelled)} classes "
        f"({', '.join(shown)}{more})",
        "homophily    "
        + ("no edge between labelled nodes" if share is None else
           f"{share:.2f} of {pairs} edges between labelled nodes join one class"),
        f"model        {report['model']}, "
        + ("not calibrated: too few labels" if report["temperature"] is None
           and not options.no_calibration else
           "not calibrated" if report["temperature"] is None else
           f"calibrated with temperature {report['temperature']:.2f}"),
    ]  # fmt: skip
    held = report["held_out"]
    if held is not None:
        lines.append(
            f"held out     {held['nodes']} labelled nodes: "
            f"accuracy {100 * held['accuracy']:.1f} %, "
            f"macro-F1 {100 * held['macro_f1']:.1f} %, log-loss {held['log_loss']:.3f}, "
            f"calibration error {100 * held['calibration_error']:.1f} %"
        )
    if report["mean_confidence"] is not None:
        lines.append(f"confidence   {report['mean_confidence']:.2f} on average where unlabelled")
    lines.append(f"time         {report['seconds']:.1f} s")
    files = (options.out, options.save, options.plot, options.plot_reliability)
    lines += [f"written      {path}" for path in files if path is not None]
    return "\n".join(lines)


COMMAND = Command("label", ABOUT, LabelOptions, run)
