"""The command ``grandpp predict``: label another graph with a saved model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grandpp.estimator.classifier import NodeClassifier
from grandpp.estimator.labels import MISSING, read_labels
from grandpp.estimator.options import GraphOptions, check_files
from grandpp.estimator.predictions import prediction_table, write_predictions
from grandpp.training.command import Command, Console
from grandpp.training.options import option

ABOUT = """Label the nodes of a graph with a model that "grandpp label --save" saved.

Example:
    grandpp predict --model model.pt --edges edges.csv --features features.csv \\
        --out predictions.csv

The graph needs the features that the model was trained with, in the same order. Labels are not
needed; those given with --labels are kept, and a GRAND++ model diffuses from them.
"""


@dataclass(frozen=True, kw_only=True)
class PredictOptions(GraphOptions):
    """Options of ``grandpp predict``."""

    model: Path = option("model that grandpp label saved", metavar="FILE.pt")
    out: Path = option("file of the predictions", metavar="FILE.csv")


def run(options: PredictOptions, console: Console) -> int:
    """Read the model and the graph, predict, write."""
    check_files((options.out,))
    classifier = NodeClassifier.load(options.model, options.device)
    data = options.read(classifier.feature_names_in_)
    console.show("\n".join(data.summary.lines()))
    proba = classifier.predict_proba(data)
    given = np.zeros(len(proba), dtype=bool)
    if data.get("y") is not None and bool((data.y >= 0).any()):
        labels = read_labels(data)
        place = {name: k for k, name in enumerate(classifier.classes_.tolist())}
        known = np.array([place.get(name, MISSING) for name in labels.classes.tolist()])
        codes = np.where(labels.codes >= 0, known[labels.codes], MISSING)
        given = codes >= 0
        proba[given] = np.eye(len(place))[codes[given]]
    write_predictions(
        prediction_table(data.node_ids, classifier.classes_, proba, given), options.out
    )
    best = proba.max(axis=1)
    console.emit(
        {"nodes": len(proba), "mean_confidence": float(best.mean()), "out": str(options.out)}
    )
    console.show(f"confidence   {best.mean():.2f} on average\nwritten      {options.out}")
    return 0


COMMAND = Command("predict", ABOUT, PredictOptions, run)
