"""Label a graph of a million nodes from files: time by stage, peak memory, accuracy.

Examples:
    python benchmarks/million.py --nodes 100000 --edges 1000000 --epochs 5
    python benchmarks/million.py --epochs 10 --no-calibration --out million.jsonl

A stochastic block model with normal features is written as three files into a temporary folder,
and "grandpp label" reads, fits and writes in a process of its own, whose peak memory (resident
set) is measured. Accuracy is that of the nodes whose label is not given.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grandpp.training.command import Command, Console, run_command
from grandpp.training.options import ReportOptions, option, positive_int

_OUTSIDE = 0.2  # share of the edges between random nodes


@dataclass(frozen=True, kw_only=True)
class MillionOptions(ReportOptions):
    """The graph, and what is passed on to ``grandpp label``."""

    nodes: int = option("number of nodes", default=1_000_000, parse=positive_int)
    edges: int = option("number of undirected edges", default=10_000_000, parse=positive_int)
    features: int = option("number of features", default=32, parse=positive_int)
    classes: int = option("number of classes", default=10, parse=positive_int)
    labels_per_class: int = option("labels per class", default=20, parse=positive_int)
    format: str = option("of the files", default="parquet", choices=("parquet", "csv"))
    model: str = option("model, see grandpp label", default="auto", metavar="NAME")
    epochs: int | None = option(
        "training epochs", default=None, parse=positive_int, shown_default="those of the model"
    )
    no_calibration: bool = option("take the softmax as it is", default=False)
    seed: int = option("seed of the graph and of the model", default=0)
    folder: Path | None = option(
        "where the temporary folder is", default=None, shown_default="the system's"
    )
    out: Path | None = option("append the result as a JSON line", default=None, metavar="FILE")


class Drawn(NamedTuple):
    """A graph: class of each node, ends of the edges, features, labelled nodes."""

    label: NDArray[np.int64]
    ends: NDArray[np.int64]
    features: NDArray[np.float32]
    labelled: NDArray[np.int64]


def draw(options: MillionOptions) -> Drawn:
    """Draw the graph: 80 % of the edges join nodes of one class, features have class means."""
    rng = np.random.default_rng(options.seed)
    label = rng.integers(options.classes, size=options.nodes)
    order = np.argsort(label, kind="stable")
    first = np.searchsorted(label[order], np.arange(options.classes + 1))
    source = rng.integers(options.nodes, size=options.edges)
    own = label[source]
    low, high = first[own], first[own + 1]
    near = order[low + (rng.random(options.edges) * (high - low)).astype(np.int64)]
    far = rng.integers(options.nodes, size=options.edges)
    target = np.where(rng.random(options.edges) < _OUTSIDE, far, near)
    mean = rng.standard_normal((options.classes, options.features)).astype(np.float32) / 2
    noise = rng.standard_normal((options.nodes, options.features), dtype=np.float32)
    labelled = [
        rng.permutation(order[first[c] : first[c + 1]])[: options.labels_per_class]
        for c in range(options.classes)
    ]
    return Drawn(label, np.stack([source, target]), mean[label] + noise, np.concatenate(labelled))


def write(drawn: Drawn, folder: Path, form: str) -> list[str]:
    """Write three files; return them as arguments of ``grandpp label``."""
    columns = [f"f{k}" for k in range(drawn.features.shape[1])]
    features = pd.DataFrame(drawn.features, columns=columns)
    features.insert(0, "node", np.arange(len(features)))
    named = np.char.add("c", drawn.label[drawn.labelled].astype(str))
    tables = {
        "edges": pd.DataFrame({"source": drawn.ends[0], "target": drawn.ends[1]}),
        "features": features,
        "labels": pd.DataFrame({"node": drawn.labelled, "label": named}),
    }
    arguments = []
    for name, table in tables.items():
        path = folder / f"{name}.{form}"
        if form == "parquet":
            table.to_parquet(path, index=False)
        else:
            table.to_csv(path, index=False)
        arguments += [f"--{name}", str(path)]
    return arguments


def label(arguments: list[str], options: MillionOptions, folder: Path) -> dict[str, Any]:
    """Run ``grandpp label`` in a process of its own.

    Raises:
        ValueError: If it fails, with what it said last.
    """
    command = [sys.executable, "-m", "grandpp", "label", *arguments, "--json", "--quiet"]
    command += ["--out", str(folder / "out.csv"), "--model", options.model]
    command += [] if options.epochs is None else ["--epochs", str(options.epochs)]
    command += ["--no-calibration"] if options.no_calibration else []
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 (this package)
    if done.returncode:
        raise ValueError(done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}")
    report: dict[str, Any] = json.loads(done.stdout)
    # Kilobytes on Linux, bytes on macOS; no other process was waited for.
    unit = 1 if sys.platform == "darwin" else 1024
    report["peak"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return report


def run(options: MillionOptions, console: Console) -> int:
    """Draw, write, label, measure."""
    drawn = draw(options)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        arguments = write(drawn, folder, options.format)
        truth, given = drawn.label, drawn.labelled
        del drawn
        report = label(arguments, options, folder)
        table = pd.read_csv(folder / "out.csv", usecols=["node", "label"]).set_index("node")
    found = table["label"].str.removeprefix("c").astype(np.int64)
    unseen = np.setdiff1d(found.index.to_numpy(), given)
    row = {
        "nodes": report["graph"]["num_nodes"],
        "edges": report["graph"]["num_edges"],
        "model": report["model"],
        "epochs": options.epochs,
        "accuracy": float((found[unseen].to_numpy() == truth[unseen]).mean()),
        "temperature": report["temperature"],
        "peak_gib": report["peak"] / 2**30,
        "seconds": report["seconds"],
    }
    console.emit(row)
    if options.out is not None:
        with options.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
    times = ", ".join(f"{stage} {s:.0f} s" for stage, s in row["seconds"].items())
    console.show(
        f"{row['nodes']:,} nodes, {row['edges']:,} edges, {row['model']}: accuracy "
        f"{100 * row['accuracy']:.1f} %, peak {row['peak_gib']:.1f} GiB; {times}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(run_command(Command("million", __doc__, MillionOptions, run), program="million"))
