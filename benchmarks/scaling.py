"""Time and peak memory of a training step of GRAND-l against edges, depth and channels.

Examples:
    python benchmarks/scaling.py --axis time
    python benchmarks/scaling.py --axis edges --json

Every point runs in a process of its own, so that peaks do not mix: forward and backward of a
GRANDConv with learned attention (8 heads) and the exact solver on a random state. "slope" is the
log-log slope of the milliseconds over the axis, from the first point on. "peak_mib" is the peak of
the whole process, interpreter and libraries included.

Axes: edges (sbm with 20k to 1M nodes and 10 edges per node, T = 4), time (Cora, T = 4 to 256),
channels (Cora, 16 to 256, T = 18.3).
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from common import SIZES, Row, graph, parser, run
from tqdm import tqdm

from grandpp.experiment.cli import resolve_device
from grandpp.experiment.memory import PeakMemory, keep_freed_memory
from grandpp.layers import GRANDConv

PROGRAM = "scaling"


@dataclass(frozen=True)
class Point:
    """One measurement to take."""

    dataset: str
    time: float
    channels: int


AXES: dict[str, list[Point]] = {
    "edges": [Point(name, 4.0, 64) for name in SIZES],
    "time": [Point("Cora", t, 80) for t in (4.0, 16.0, 64.0, 256.0)],
    "channels": [Point("Cora", 18.3, c) for c in (16, 64, 256)],
}


def measure(point: Point, rounds: int, device: torch.device, root: Path | None) -> Row:
    """Median time of a step and the peak memory of this process."""
    data = graph(point.dataset, root, num_features=32)
    edge_index, nodes = data.edge_index.to(device), int(data.num_nodes or 0)
    torch.manual_seed(0)
    conv = GRANDConv(point.channels, time=point.time, heads=8, solver="exact").to(device)
    x = torch.randn(nodes, point.channels, device=device, requires_grad=True)
    seconds = []
    with PeakMemory(device) as memory:
        for _ in range(rounds + 1):
            start = time.perf_counter()
            solution = conv.solve(x, edge_index)
            torch.as_tensor(solution.y).square().mean().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - start)
    # The first step builds the graph.
    middle = sorted(seconds[1:])[rounds // 2]
    stats = solution.stats
    return {
        **asdict(point),
        "nodes": nodes,
        "edges": edge_index.size(1),
        "ms": 1e3 * middle,
        "products": stats.nfe_forward + stats.nfe_backward // (rounds + 1),
        "peak_mib": memory.mib,
        "device": str(device),
    }


def measure_point(args: argparse.Namespace) -> None:
    """Print the row of one point, measured in this process."""
    points = AXES[args.axis]
    if not 0 <= args.point < len(points):
        raise ValueError(
            f"expected --point from 0 to {len(points) - 1} for --axis {args.axis} "
            f"(got {args.point})"
        )
    device = resolve_device(args.device)
    print(json.dumps(measure(points[args.point], args.rounds, device, args.root)))


def measure_axis(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append the row of every point, each measured in a process of its own."""
    resolve_device(args.device)  # fails here, before a process is started
    command = [sys.executable, __file__, "--axis", args.axis, "--device", args.device]
    command += ["--rounds", str(args.rounds), *(["--root", str(args.root)] if args.root else [])]
    for i in tqdm(range(len(AXES[args.axis])), unit="point"):
        done = subprocess.run(  # noqa: S603 (this very program)
            [*command, "--point", str(i)], capture_output=True, text=True
        )
        if done.returncode:
            said = done.stderr.strip().rpartition("\n")[2].removeprefix(f"{PROGRAM}: error: ")
            raise ValueError(said or f"point {i} ended with exit code {done.returncode}")
        row = json.loads(done.stdout)
        rows.append(row)
        distance = math.log(row[args.axis] / rows[0][args.axis])
        row["slope"] = math.log(row["ms"] / rows[0]["ms"]) / distance if distance else None


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser(PROGRAM, __doc__, rounds=5)
    options.add_argument("--axis", choices=tuple(AXES), default="time")
    options.add_argument("--point", type=int, help="measure one point of the axis in this process")
    args = options.parse_args(argv)
    keep_freed_memory()
    if args.point is not None:
        return run(PROGRAM, lambda rows: measure_point(args), args.json)
    return run(PROGRAM, partial(measure_axis, args), args.json)


if __name__ == "__main__":
    sys.exit(main())
