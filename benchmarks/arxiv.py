"""Time and peak memory of ogbn-arxiv: reading its files, and training epochs of GRAND-l on it.

Examples:
    python benchmarks/arxiv.py
    python benchmarks/arxiv.py --rounds 3 --json
    python benchmarks/arxiv.py --root DATA    # the published files, in DATA/ogbn_arxiv/raw

Without --root, files of the published format and size (169,343 nodes, 1,166,243 citations, 128
features with six decimals, 40 classes) are made in a temporary folder from a block model: they
cost what the published ones cost, but accuracies on them mean nothing. The model is grand-l with
its tuned settings (162 channels, T = 3.676), 20 labels per class; an epoch is a training step and
an evaluation, and the first one also sorts the graph. "peak_mib" is the peak of the whole process
during the step (on CUDA: of the allocator), interpreter and libraries included.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Table, parser
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.data import load_dataset, low_label_split, sbm
from grandpp.data.graphs import EXPECTED_SIZES, GraphSize
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training import train_run
from grandpp.training.command import Console, resolve_device
from grandpp.training.memory import PeakMemory, keep_freed_memory

PROGRAM, NAME = "arxiv", "ogbn-arxiv"
BOTH_WAYS = 8444 / 1166243  # share of the citations that answer another one
ROWS = 4096  # of features turned into text at once


def write_files(raw: Path, size: GraphSize, seed: int = 0) -> None:
    """Write the five compressed tables of ogbn-arxiv's raw folder, at any size."""
    raw.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    answers = round(BOTH_WAYS * size.edges)
    data = sbm(size.nodes, size.edges - answers, size.classes, 1, words_per_node=1, seed=seed)
    label = data.y.numpy()
    pairs = data.edge_index[:, data.edge_index[0] < data.edge_index[1]].t().numpy()
    turned = rng.random(len(pairs)) < 0.5
    pairs[turned] = pairs[turned, ::-1]
    edges = np.concatenate([pairs, pairs[:answers, ::-1]])
    tables = {"edge": edges, "node-label": label[:, None]}
    counts = {"node": len(label), "edge": len(edges)}
    tables |= {f"num-{kind}-list": np.array([[n]]) for kind, n in counts.items()}
    for name, table in tables.items():
        with gzip.open(raw / f"{name}.csv.gz", "wb", compresslevel=1) as file:
            np.savetxt(file, table, fmt="%d", delimiter=",")
    middle = rng.normal(scale=0.1, size=(size.classes, size.features))
    with gzip.open(raw / "node-feat.csv.gz", "wb", compresslevel=1) as file:
        for start in tqdm(range(0, size.nodes, ROWS), desc="writing"):
            center = middle[label[start : start + ROWS]]
            file.write(text_of(center + rng.normal(scale=0.1, size=center.shape)))


def text_of(values: np.ndarray) -> bytes:
    """Numbers ``[rows, columns]`` between -1 and 1 as lines with six decimals, like "-0.057943"."""
    whole = np.clip(np.rint(1e6 * values), -999_999, 999_999).astype(np.int32)
    text = np.empty((*whole.shape, 10), dtype=np.uint8)
    text[..., 0] = np.where(whole < 0, ord("-"), ord("+"))
    text[..., 1:3] = list(b"0.")
    for place in range(6):
        text[..., 3 + place] = ord("0") + np.abs(whole) // 10 ** (5 - place) % 10
    text[..., 9] = ord(",")
    text[:, -1, 9] = ord("\n")
    return text.tobytes()


@contextlib.contextmanager
def folder_of_data(given: Path | None) -> Iterator[Path]:
    """The folder given, or one with files made for the occasion."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="arxiv-") as name:
        write_files(Path(name) / "ogbn_arxiv" / "raw", EXPECTED_SIZES[NAME])
        yield Path(name)


def measure(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Append a row for reading and one for every epoch."""
    if args.rounds < 1:
        raise ValueError(f"expected --rounds of at least 1 (got {args.rounds})")
    device = resolve_device(args.device)
    with folder_of_data(args.root) as folder, PeakMemory(torch.device("cpu")) as memory:
        start = time.perf_counter()
        data = load_dataset(NAME, folder, download=False)
        seconds = time.perf_counter() - start
    rows.append(row("load", seconds, memory.mib, data, "cpu"))
    config = tuned_run(NAME, "grand-l", 20, epochs=args.rounds)
    split = low_label_split(data, 20, seed=0)
    times = [time.perf_counter()]
    result = train_run(config, split, device, lambda: times.append(time.perf_counter()))
    if result.status != "success":
        raise ValueError(f"training ended with {result.message}")
    peak = result.peak_memory_mb
    for i, (before, after) in enumerate(pairwise(times), start=1):
        rows.append(row(f"epoch {i}", after - before, peak, data, str(device)))


def row(
    step: str, seconds: float, peak_mib: float | None, data: Data, device: str
) -> dict[str, Any]:
    """One line of the table."""
    sizes = {"nodes": data.num_nodes, "edges": data.num_edges}
    cost = {"seconds": seconds, "peak_mib": peak_mib}
    return {"step": step, **sizes, **cost, "threads": torch.get_num_threads(), "device": device}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = parser(PROGRAM, __doc__, rounds=1).parse_args(argv)
    keep_freed_memory()
    rows: list[dict[str, Any]] = []
    code = 0
    try:
        measure(args, rows)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted; {len(rows)} finished rows follow\n")
        code = 130
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        raise SystemExit(Console(PROGRAM).complain(error)) from None
    if rows:
        Table(rows).show(args.json)
    return code


if __name__ == "__main__":
    sys.exit(main())
