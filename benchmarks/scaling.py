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

import json
import math
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from common import SIZES, Table, graph, parser
from tqdm import tqdm

from grandpp.experiment.memory import PeakMemory, keep_freed_memory
from grandpp.layers import GRANDConv


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


def measure(point: Point, rounds: int, device: torch.device, root: Path | None) -> dict[str, Any]:
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


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser("scaling", __doc__, rounds=5)
    options.add_argument("--axis", choices=tuple(AXES), default="time")
    options.add_argument("--point", type=int, help="measure one point of the axis in this process")
    args = options.parse_args(argv)
    keep_freed_memory()
    if args.point is not None:
        point = AXES[args.axis][args.point]
        print(json.dumps(measure(point, args.rounds, torch.device(args.device), args.root)))
        return 0
    command = [sys.executable, __file__, "--axis", args.axis, "--device", args.device]
    command += ["--rounds", str(args.rounds), *(["--root", str(args.root)] if args.root else [])]
    rows = []
    for i in tqdm(range(len(AXES[args.axis])), unit="point"):
        done = subprocess.run(  # noqa: S603 (this very program)
            [*command, "--point", str(i)], check=True, stdout=subprocess.PIPE, text=True
        )
        rows.append(json.loads(done.stdout))
    along = {"edges": "edges", "time": "time", "channels": "channels"}[args.axis]
    first = rows[0]
    for row in rows:
        run = math.log(row[along] / first[along])
        row["slope"] = math.log(row["ms"] / first["ms"]) / run if run else None
    Table(rows).show(args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
