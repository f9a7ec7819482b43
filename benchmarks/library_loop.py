"""Time a user's own training loop around GRANDConv, with and without keep_freed_memory.

Examples:
    python benchmarks/library_loop.py
    python benchmarks/library_loop.py --dataset Cora PubMed --threads 1 --rounds 7 --json
    python benchmarks/library_loop.py --threads 1 --layer none

The loop is a linear map, GRANDConv as it is built without options but for the time, and another
linear map, trained with Adam on every tenth node, as a user of PyG writes it. "plain_ms" is an
epoch where the C library gives freed memory back to the system, "kept_ms" one after
keep_freed_memory, which the commands of this package call; both are medians of processes of their
own, in turns. "ratio" is the median over rounds of the one over the other, "faults" the page faults
of an epoch of the first (0 of the second). --layer none shows what a loop costs without the layer.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from functools import partial

import torch
import torch.nn.functional as F
from common import Row, graph, in_own_process, median_ms, parser, ratio, run
from torch import Tensor, nn
from tqdm import tqdm

from grandpp import GRANDConv
from grandpp.models import to_dense
from grandpp.training.command import resolve_device
from grandpp.training.memory import keep_freed_memory
from grandpp.training.options import positive_int

PROGRAM = "library_loop"
WAYS = ("plain", "kept")


class Model(nn.Module):
    """What README and docs show: a map, the layer, a map."""

    def __init__(
        self, in_channels: int, channels: int, classes: int, span: float, layer: str
    ) -> None:
        super().__init__()
        self.encode = nn.Linear(in_channels, channels)
        self.conv = GRANDConv(channels, time=span) if layer == "grand" else None
        self.decode = nn.Linear(channels, classes)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return logits."""
        h = self.encode(F.dropout(x, 0.5, self.training))
        return self.decode(h if self.conv is None else self.conv(h, edge_index))


def cost_of_epoch(args: argparse.Namespace) -> tuple[float, float]:
    """Median seconds and page faults of an epoch in this process."""
    device = resolve_device(args.device)
    if args.way == "kept":
        keep_freed_memory()
    data = graph(args.datasets[0], args.root).to(device)
    torch.manual_seed(0)
    classes = int(data.y.max()) + 1
    model = Model(data.num_features, args.channels, classes, args.time, args.layer).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, mask = to_dense(data.x), torch.arange(data.num_nodes, device=device) % 10 == 0
    times: list[float] = []
    faults: list[int] = []
    for _ in range(args.epochs + 2):
        faults_before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        start = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(x, data.edge_index)[mask], data.y[mask]).backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults_before)
    return statistics.median(times[2:]), statistics.median(faults[2:])


def measure(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append one row per graph."""
    resolve_device(args.device)
    for name in args.datasets:
        graph(name, args.root)  # fails here, before anything is timed
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        faults: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in tqdm(range(args.rounds), desc=name, unit="round"):
            for way in WAYS:
                command = [__file__, "--way", way, "--dataset", name, "--device", args.device,
                           "--epochs", str(args.epochs), "--channels", str(args.channels),
                           "--time", str(args.time), "--layer", args.layer,
                           *(["--root", str(args.root)] if args.root else []),
                           *(["--threads", str(args.threads)] if args.threads else [])]  # fmt: skip
                found = in_own_process(PROGRAM, command, f"the loop on {name}")
                seconds[way].append(found[0])
                faults[way].append(found[1])
        plain, kept = (seconds[way] for way in WAYS)
        rows.append(
            {
                "dataset": name,
                "plain_ms": median_ms(plain),
                "kept_ms": median_ms(kept),
                "ratio": ratio(plain, kept),
                "faults": int(statistics.median(faults["plain"])),
                "layer": args.layer,
                "channels": args.channels,
                "threads": args.threads or torch.get_num_threads(),
                "device": args.device,
            }
        )


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser(PROGRAM, __doc__, rounds=5)
    add = options.add_argument
    add("--dataset", nargs="+", default=["PubMed"], metavar="NAME", dest="datasets",
        help="data sets (default: PubMed)")  # fmt: skip
    add("--channels", type=positive_int, default=64, metavar="C", help="(default: 64)")
    add("--time", type=float, default=10.0, metavar="T", help="of the layer (default: 10)")
    add("--layer", choices=("grand", "none"), default="grand", help="between the maps (default: "
        "grand)")  # fmt: skip
    add("--epochs", type=positive_int, default=10, metavar="N", help="epochs of a process, after "
        "two that do not count (default: 10)")  # fmt: skip
    add("--threads", type=positive_int, metavar="N", help="threads of torch (default: torch's)")
    add("--way", choices=WAYS, help="print seconds and page faults of an epoch of this way in "
        "this process, and nothing else")  # fmt: skip
    args = options.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.way:
        return run(PROGRAM, lambda rows: print(json.dumps(cost_of_epoch(args))), args.json)
    return run(PROGRAM, partial(measure, args), args.json)


if __name__ == "__main__":
    sys.exit(main())
