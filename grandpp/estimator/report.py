"""What the commands on one's own graph found, by name and in words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from grandpp.data.graph_files.ids import counted
from grandpp.estimator.classifier import NodeClassifier
from grandpp.estimator.evaluation import Evaluation


class Stages:
    """Seconds of each stage of a command.

    Attributes:
        seconds: By name of the stage, in the order in which they ended.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def label_homophily(data: Data, codes: NDArray[np.int64]) -> tuple[float | None, int]:
    """Share of the edges between labelled nodes that join nodes of one class, and their number.

    Args:
        data: The graph.
        codes: Classes, -1 for none known ``[N]``.

    Returns:
        The share, ``None`` without such an edge, and the number of edges, each undirected one
        once.
    """
    source, target = data.edge_index.cpu().numpy()
    both = (codes[source] >= 0) & (codes[target] >= 0) & (source != target)
    if not both.any():
        return None, 0
    low, high = np.minimum(source, target)[both], np.maximum(source, target)[both]
    pair = np.unique(low * codes.size + high)
    low, high = pair // codes.size, pair % codes.size
    return float((codes[low] == codes[high]).mean()), pair.size


def label_report(
    data: Data,
    classifier: NodeClassifier,
    measured: Evaluation | None,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """What ``grandpp label`` found, by name.

    Args:
        data: Graph that :func:`grandpp.data.read_graph` read.
        classifier: Fitted to it.
        measured: Measured on labelled nodes that were held out, or ``None``.
        seconds: Time of each stage.
    """
    given = classifier.given_
    proba = classifier.predict_proba()
    homophily, pairs = label_homophily(data, given)
    predicted, _ = label_homophily(data, proba.argmax(axis=1))
    counts = np.bincount(given[given >= 0], minlength=len(classifier.classes_))
    confidence = proba.max(axis=1)[given < 0]
    return {
        "graph": asdict(data.summary),
        "labelled": {str(c): int(n) for c, n in zip(classifier.classes_, counts, strict=True)},
        "homophily_of_labels": homophily,
        "edges_between_labels": pairs,
        "homophily_of_predictions": predicted,
        "model": classifier.run_.model,
        "temperature": classifier.temperature_ if classifier.calibrated_ else None,
        "calibration": classifier.calibration,
        "estimate_shares": bool(getattr(classifier.run_.settings, "estimate_shares", False)),
        "cluster_pool": classifier.run_.settings.cluster_pool or 0.0,
        "mean_confidence": float(confidence.mean()) if confidence.size else None,
        "held_out": None if measured is None else measured.as_row(),
        "seconds": dict(seconds) | {"total": sum(seconds.values())},
    }


def in_words(report: Mapping[str, Any]) -> list[str]:
    """The lines that follow those of the graph: what :func:`label_report` found, and the files."""
    lines = [f"homophily: {_homophily(report)}", f"model: {report['model']}, {_calibrated(report)}"]
    held = report["held_out"]
    if held is not None:
        lines.append(
            f"held out: {held['nodes']} labelled nodes: "
            f"accuracy {100 * held['accuracy']:.1f} %, "
            f"macro-F1 {100 * held['macro_f1']:.1f} %, log-loss {held['log_loss']:.3f}, "
            f"calibration error {100 * held['calibration_error']:.1f} %"
        )
    if report["mean_confidence"] is not None:
        lines.append(
            f"confidence: {report['mean_confidence']:.2f} on average where no label is given"
        )
    stages = [f"{name} {s:.1f}" for name, s in report["seconds"].items() if name != "total"]
    lines.append(f"time: {report['seconds']['total']:.1f} s ({', '.join(stages)})")
    return lines + [f"written: {path}" for path in report["written"]]


def _homophily(report: Mapping[str, Any]) -> str:
    share, pairs = report["homophily_of_labels"], report["edges_between_labels"]
    known = (
        "no edge joins two labelled nodes"
        if share is None
        else f"{100 * share:.0f} % of the {counted(pairs, 'edge', 'edges')} between labelled nodes "
        f"{'joins' if pairs == 1 else 'join'} one class"
    )
    if report["homophily_of_predictions"] is None:
        return known
    share = 100 * report["homophily_of_predictions"]
    return f"{known}; {share:.0f} % of all edges join one predicted class"


def _calibrated(report: Mapping[str, Any]) -> str:
    pooled = f", clusters count {report['cluster_pool']:g} times" if report["cluster_pool"] else ""
    adjusted = ", adjusted to estimated shares of the classes" if report["estimate_shares"] else ""
    adjusted = pooled + adjusted
    if report["temperature"] is not None:
        how = f"calibrated on held-out labels (temperature {report['temperature']:.2f})"
        return f"confidence {how}{adjusted}"
    why = "" if report["calibration"] == "none" else ": too few labels"
    return f"confidence not calibrated{why}{adjusted}"
