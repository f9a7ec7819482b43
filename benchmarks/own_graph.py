"""Measure what a user gets for a graph of their own: accuracy and calibration from a few labels.

Examples:
    python benchmarks/own_graph.py --dataset Cora --labels-per-class 1 --splits 20 --way files
    python benchmarks/own_graph.py --dataset Cora CiteSeer --labels-per-class 5 --splits 10 \\
        --way classifier --out own.jsonl

A data set is treated as if it were unknown: the labels of a split are all that is seen, nothing
validates, no setting is tuned to the data set. "files" writes edges, features and labels as CSV
with ids in words and runs "grandpp label"; "classifier" calls NodeClassifier, and also reports the
expected calibration error (15 bins) before and after calibration. Accuracy is that of all nodes
whose label is not given.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.data import load_dataset, low_label_split
from grandpp.estimator import NodeClassifier
from grandpp.estimator.calibration import reliability
from grandpp.estimator.label import COMMAND as LABEL
from grandpp.training.command import Command, Console, run_command
from grandpp.training.options import (
    DataOptions,
    RecordOptions,
    ReportOptions,
    option,
    positive_int,
)
from grandpp.training.record_file import RecordFile, RecordFormat

KEY = ("dataset", "labels_per_class", "split", "way", "ensemble")
MEASURED = ("accuracy", "given_kept", "error_before", "error_after", "temperature", "seconds")
RECORDS = RecordFormat(KEY, ("accuracy", "seconds"), MEASURED)


@dataclass(frozen=True, kw_only=True)
class OwnGraphOptions(ReportOptions, RecordOptions, DataOptions):
    """What is measured."""

    datasets: tuple[str, ...] = option(
        "data sets", default=("Cora",), flag="--dataset", metavar="NAME"
    )
    labels_per_class: tuple[int, ...] = option(
        "labels per class", default=(1,), parse=positive_int, metavar="K"
    )
    splits: int = option("number of splits", default=20, parse=positive_int)
    first_split: int = option("seed of the first split", default=0)
    way: str = option("what is called", default="files", choices=("files", "classifier"))
    ensemble: int = option("models that are averaged", default=1, parse=positive_int)


def by_files(data: Data, options: OwnGraphOptions, seed: int) -> dict[str, Any]:
    """Write the graph as three CSV files with ids in words, and run the command on them."""
    ids = np.array([f"paper{i}" for i in range(data.num_nodes)])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        once = data.edge_index[:, data.edge_index[0] < data.edge_index[1]].numpy()
        pd.DataFrame({"source": ids[once[0]], "target": ids[once[1]]}).to_csv(
            folder / "edges.csv", index=False
        )
        x = data.x.to_dense() if data.x.layout != torch.strided else data.x
        features = pd.DataFrame(x.numpy(), columns=[f"word{k}" for k in range(x.size(1))])
        features.insert(0, "node", ids)
        features.to_csv(folder / "features.csv", index=False)
        truth = pd.Series([f"class{int(c)}" for c in data.y], index=ids)
        given = truth[data.train_mask.numpy()]
        given.rename("label").to_csv(folder / "labels.csv", index_label="node")
        argv = [f"--{what}={folder / what}.csv" for what in ("edges", "features", "labels")]
        argv += [f"--out={folder / 'out.csv'}", "--quiet", f"--ensemble={options.ensemble}"]
        argv += [f"--seed={seed}", "--no-calibration"]
        with contextlib.redirect_stdout(io.StringIO()):
            code = run_command(LABEL, argv)
        if code:
            raise ValueError(f"expected grandpp label to end with 0 (got {code})")
        found = pd.read_csv(folder / "out.csv").set_index("node")
    kept = bool((found["label"][given.index] == given).all())
    rest = found[found["given"] == 0]
    right = float((rest["label"] == truth[rest.index]).mean())
    return {"accuracy": right, "given_kept": kept}


def by_classifier(data: Data, options: OwnGraphOptions, seed: int) -> dict[str, Any]:
    """Call the classifier, and measure its calibration."""
    start = time.perf_counter()
    clf = NodeClassifier(seed=seed, ensemble=options.ensemble).fit(data)
    seconds = time.perf_counter() - start
    unseen = ~data.train_mask.numpy()
    label = data.y.numpy()[unseen]
    after = reliability(clf.predict_proba()[unseen], label).calibration_error
    plain = clone(clf).set_params(calibration="none").fit(data)  # the same models
    before = reliability(plain.predict_proba()[unseen], label).calibration_error
    return {
        "accuracy": clf.score(data.y),
        "error_before": before,
        "error_after": after,
        "temperature": clf.temperature_,
        "seconds": seconds,
    }


def run(options: OwnGraphOptions, console: Console) -> int:
    """Do the runs that are not in the file yet; print a table."""
    file = RecordFile(options.out, RECORDS)
    splits = range(options.first_split, options.first_split + options.splits)
    keys = [
        (*key, options.way, options.ensemble)
        for key in product(options.datasets, options.labels_per_class, splits)
    ]
    todo = [key for key in keys if key not in file.records]
    act = {"files": by_files, "classifier": by_classifier}[options.way]
    try:
        for key in tqdm(todo, unit="run", disable=options.quiet, file=sys.stderr):
            name, labels, split = key[:3]
            data = low_label_split(load_dataset(name, options.root), labels, split, "no_val")
            start = time.perf_counter()
            found = act(data, options, split)
            seconds = {"seconds": time.perf_counter() - start}
            row = dict(zip(KEY, key, strict=True)) | seconds | found
            file.add(row)
            console.emit(row)
    finally:
        rows = [file.records[key] for key in keys if key in file.records]
        if rows:
            table = pd.DataFrame(rows).groupby(["dataset", "labels_per_class", "way"])
            columns = [c for c in rows[0] if c not in KEY]
            wanted = {f"{c}": (c, "mean") for c in columns} | {"runs": ("split", "size")}
            console.show(table.agg(**wanted).to_string(float_format="%.3f"))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(Command("own_graph", __doc__, OwnGraphOptions, run), program="own_graph"))
