"""The command ``grandpp predict``: label another graph with a saved model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
needed; those given with --labels are kept, and a GRAND++ model diffuses from them. The table is
that of "grandpp label".
"""


@dataclass(frozen=True, kw_only=True)
class PredictOptions(GraphOptions):
    """Options of ``grandpp predict``."""

    model: Path = option("model that grandpp label saved", metavar="FILE.pt")
    out: Path = option("file of the predictions", metavar="FILE.csv")


def run(options: PredictOptions, console: Console) -> int:
    """Read the model and the graph, predict, write."""
    check_files((), inputs=(*options.inputs, options.model), tables=(options.out,))
    classifier = NodeClassifier.load(options.model, options.device)
    if "spectral 1" in (classifier.feature_names_in_ or ()):
        raise ValueError(
            f"{options.model}: expected a model of features that mean the same on every graph (got "
            "one of a spectral embedding, as its graph had no features): label this graph instead"
        )
    data = options.read(classifier.feature_names_in_)
    console.show("\n".join(data.summary.lines()))
    proba = classifier.predict_proba(data)
    given = np.zeros(len(proba), dtype=bool)
    if data.get("y") is not None and bool((data.y >= 0).any()):
        labels = read_labels(data)
        place = {str(name): k for k, name in enumerate(classifier.classes_.tolist())}
        unknown = [str(name) for name in labels.classes.tolist() if str(name) not in place]
        if unknown:
            raise ValueError(
                f"expected labels that the model knows, {', '.join(place)} (got '{unknown[0]}')"
            )
        known = np.array([place[str(name)] for name in labels.classes.tolist()])
        codes = np.where(labels.codes >= 0, known[labels.codes], MISSING)
        given = codes >= 0
        proba[given] = np.eye(len(place))[codes[given]]
    table = prediction_table(data, classifier.classes_, proba, given)
    write_predictions(table, options.out)
    confidence = proba.max(axis=1)[~given]
    mean = float(confidence.mean()) if confidence.size else None
    report: dict[str, Any] = {"graph": asdict(data.summary), "model": classifier.run_.model}
    report |= {"mean_confidence": mean, "written": [str(options.out)]}
    console.emit(report)
    if mean is not None:
        console.show(f"confidence: {mean:.2f} on average where no label is given")
    console.show(f"written: {options.out}")
    return 0


COMMAND = Command("predict", ABOUT, PredictOptions, run)
