"""Time and peak memory of a training step of GRAND-l and GRAND++-l against edges, depth, channels.

Examples:
    python benchmarks/scaling.py --axis time
    python benchmarks/scaling.py --axis edges --model grand-l --json

A step is forward and backward of a GRANDConv, or a GRANDPPConv with a balanced source at every
hundredth node, with learned attention (8 heads) and the exact solver on a random state. The models
take turns in one process per point; "ratio" is the median over rounds of a model's time over that
of grand-l. "slope" is the log-log slope of the milliseconds over the axis, from the first point on.
"peak_mib" is the peak of a whole process that does nothing else, interpreter and libraries
included.

Axes: edges (sbm with 20k, 169k and 1M nodes, T = 4), time (Cora, T = 4 to 256), channels (Cora, 16
to 256, T = 18.3).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import SIZES, Row, alternate, graph, in_own_process, median_ms, parser, ratio, run
from tqdm import tqdm

from grandpp.layers import GRANDConv, GRANDPPConv
from grandpp.training.command import resolve_device
from grandpp.training.memory import PeakMemory, keep_freed_memory

PROGRAM = "scaling"
MODELS = ("grand-l", "grand++-l")


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


@dataclass
class Step:
    """Forward and backward of a layer, called again and again on the same random state."""

    conv: Any
    inputs: tuple[Any, ...]
    steps: int = 0
    products: int = 0

    @classmethod
    def make(cls, model: str, point: Point, edge_index: torch.Tensor, nodes: int) -> Step:
        """Draw the parameters and the state."""
        torch.manual_seed(0)
        settings: dict[str, Any] = {"time": point.time, "heads": 8, "solver": "exact"}
        layer: Callable[..., torch.nn.Module] = GRANDConv if model == "grand-l" else GRANDPPConv
        conv = layer(point.channels, **settings).to(edge_index.device)
        x = torch.randn(nodes, point.channels, device=edge_index.device, requires_grad=True)
        if model == "grand-l":
            return cls(conv, (x, edge_index))
        trusted = torch.arange(0, nodes, 100, device=edge_index.device)
        return cls(conv, (x, edge_index, None, trusted))

    def __call__(self) -> None:
        """Do one step, and note how many products it has taken."""
        solution = self.conv.solve(*self.inputs)
        torch.as_tensor(solution.y).square().mean().backward()
        self.steps += 1
        stats = solution.stats
        self.products = stats.nfe_forward + stats.nfe_backward // self.steps


def load_point(point: Point, device: torch.device, root: Path | None) -> tuple[torch.Tensor, int]:
    """Edges and number of nodes of a point's graph."""
    data = graph(point.dataset, root, num_features=32)
    return data.edge_index.to(device), int(data.num_nodes or 0)


def measure(
    point: Point, models: Sequence[str], rounds: int, device: torch.device, root: Path | None
) -> list[Row]:
    """Median time of a step of every model, in turns; the first steps build the graph."""
    edge_index, nodes = load_point(point, device, root)
    steps = {model: Step.make(model, point, edge_index, nodes) for model in models}
    seconds = alternate(steps, rounds, device, label=point.dataset)
    return [
        {
            "model": model,
            **asdict(point),
            "nodes": nodes,
            "edges": edge_index.size(1),
            "ms": median_ms(times),
            "ratio": ratio(times, seconds.get("grand-l")),
            "products": steps[model].products,
            "device": str(device),
        }
        for model, times in seconds.items()
    ]


def peak_mib(point: Point, model: str, device: torch.device, root: Path | None) -> float:
    """Peak memory of this process in two steps of one model."""
    edge_index, nodes = load_point(point, device, root)
    with PeakMemory(device) as memory:
        step = Step.make(model, point, edge_index, nodes)
        for _ in range(2):
            step()
    return memory.mib


def measure_point(args: argparse.Namespace) -> None:
    """Print the rows of one point, or the peak of one model there, measured in this process."""
    points = AXES[args.axis]
    if not 0 <= args.point < len(points):
        raise ValueError(
            f"expected --point from 0 to {len(points) - 1} for --axis {args.axis} "
            f"(got {args.point})"
        )
    device, point = resolve_device(args.device), points[args.point]
    if args.peak:
        print(json.dumps(peak_mib(point, args.models[0], device, args.root)))
    else:
        print(json.dumps(measure(point, args.models, args.rounds, device, args.root)))


def measure_axis(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append the rows of every point, each measured in processes of its own."""
    resolve_device(args.device)  # fails here, before a process is started
    base = [__file__, "--axis", args.axis, "--device", args.device, "--rounds", str(args.rounds)]
    base += ["--root", str(args.root)] if args.root else []
    first: dict[str, Row] = {}
    for i in tqdm(range(len(AXES[args.axis])), unit="point"):
        command, what = [*base, "--point", str(i)], f"point {i}"
        for row in in_own_process(PROGRAM, [*command, "--model", *args.models], what):
            model = row["model"]
            peak = [*command, "--peak", "--model", model]
            row["peak_mib"] = in_own_process(PROGRAM, peak, what)
            start = first.setdefault(model, row)
            distance = math.log(row[args.axis] / start[args.axis])
            row["slope"] = math.log(row["ms"] / start["ms"]) / distance if distance else None
            rows.append(row)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser(PROGRAM, __doc__, rounds=5)
    add = options.add_argument
    add("--axis", choices=tuple(AXES), default="time", help="(default: time)")
    add("--model", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME", dest="models",
        help=f"one or more of {', '.join(MODELS)} (default: both)")  # fmt: skip
    add("--point", type=int, help="measure one point of the axis in this process")
    add("--peak", action="store_true", help="with --point: the peak memory of one model alone")
    args = options.parse_args(argv)
    keep_freed_memory()
    if args.point is not None:
        return run(PROGRAM, lambda rows: measure_point(args), args.json)
    return run(PROGRAM, partial(measure_axis, args), args.json)


if __name__ == "__main__":
    sys.exit(main())
