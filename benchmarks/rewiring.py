"""Time, memory and error of rewiring by diffusion kernels: PyG's dense way and the sparse one.

Examples:
    python benchmarks/rewiring.py
    python benchmarks/rewiring.py --dataset sbm-170k --kernel heat --tolerance 1e-3 --json

The defaults of DiffusionRewiring: the 64 strongest edges into each node. "error" is the largest
error of an entry of the kernel over its bound, the tolerance times the root of both degrees (at
most 1 by construction), "mass" the share of the exact kernel's 64 strongest entries that the
chosen ones have; both where the exact kernel is computed, up to 3000 nodes. "cpu_s" is the time of
all threads, "peak_mib" the peak of the whole process.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import torch
from common import SIZES, Table, graph, parser
from torch_geometric.data import Data
from torch_geometric.utils import degree, to_dense_adj
from tqdm import tqdm

from grandpp.data import rewire
from grandpp.data.diffusion_rewiring import KERNELS
from grandpp.training.command import Console
from grandpp.training.memory import PeakMemory

PROGRAM = "rewiring"
EXACT_NODES = 3000
TOLERANCES = (1e-3, 1e-4)


def measure(data: Data, kernel: str, method: str, tolerance: float) -> dict[str, Any]:
    """Rewire once."""
    wall, cpu = time.perf_counter(), time.process_time()
    with PeakMemory(torch.device("cpu")) as memory:
        made = rewire(data, kernel=kernel, method=method, tolerance=tolerance)
    return {
        "kernel": kernel,
        "method": method,
        "tolerance": None if method == "exact" else tolerance,
        "nodes": data.num_nodes,
        "kept_edges": made.num_edges,
        "seconds": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "peak_mib": memory.mib,
    }


def dense(data: Data, kernel: str, top_k: int | None, **options: Any) -> torch.Tensor:
    """The kernel or its strongest entries, before they are normalised."""
    made = rewire(data, kernel=kernel, top_k=top_k, normalization_out=None, **options)
    return to_dense_adj(made.edge_index, None, made.edge_weight, data.num_nodes)[0]


def accuracy(data: Data, kernel: str, tolerance: float, exact: torch.Tensor) -> dict[str, Any]:
    """How far the approximate kernel is from the exact one."""
    options: dict[str, Any] = {"method": "approximate", "tolerance": tolerance}
    difference = exact - dense(data, kernel, None, **options)
    root = (degree(data.edge_index[1], data.num_nodes, dtype=exact.dtype) + 1).sqrt()
    chosen = exact * (dense(data, kernel, 64, **options) > 0)
    strongest = exact.topk(min(64, len(exact)), dim=0).values
    return {
        "max_error": float(difference.max()),
        "error": float((difference / (tolerance * root[:, None] * root)).max()),
        "mass": float(chosen.sum() / strongest.sum()),
    }


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser(PROGRAM, __doc__, rounds=1)
    add = options.add_argument
    add("--dataset", default="Cora", help=f"a data set, or one of {', '.join(SIZES)}")
    add("--kernel", action="append", choices=KERNELS, dest="kernels", help="(default: both)")
    add("--tolerance", action="append", type=float, dest="tolerances", metavar="X",
        help="repeatable (default: 1e-3 and 1e-4)")  # fmt: skip
    args = options.parse_args(argv)
    rows: list[dict[str, Any]] = []
    code = 0
    try:
        study(args, rows)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted; {len(rows)} finished rows follow\n")
        code = 130
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        raise SystemExit(Console(PROGRAM).complain(error)) from None
    if rows:
        Table(rows).show(args.json)
    return code


def study(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Append the rows of every kernel."""
    data = graph(args.dataset, args.root, num_features=32)
    data = Data(edge_index=data.edge_index, x=data.x[:, :1].double())
    unknown = {"max_error": None, "error": None, "mass": None}
    for kernel in args.kernels or KERNELS:
        exact = None
        if int(data.num_nodes or 0) <= EXACT_NODES:
            exact = dense(data, kernel, None, method="exact")
            for _ in range(args.rounds):
                rows.append(measure(data, kernel, "exact", 1e-4) | unknown)
        for tolerance in tqdm(args.tolerances or TOLERANCES, desc=kernel):
            found = unknown if exact is None else accuracy(data, kernel, tolerance, exact)
            for _ in range(args.rounds):
                rows.append(measure(data, kernel, "approximate", tolerance) | found)


if __name__ == "__main__":
    sys.exit(main())
