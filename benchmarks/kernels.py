"""Time sparse products and their gradients, and relate them to the bandwidth of a copy.

Examples:
    python benchmarks/kernels.py
    python benchmarks/kernels.py --graph Cora --channels 80 --json

A row is one product with a random row-stochastic matrix, or the product with both gradients (to
the features and to the edge weights). "ours" is grandpp.linalg.spmm; "index_add" gathers,
multiplies and sums along edges; "torch", on the CPU alone, is torch.sparse.mm with reduce="sum" on
a CSR leaf, the one product whose gradient to the weights torch keeps sparse (that of "@" is a dense
matrix, 115 GB at 170k nodes). On CUDA "ours" is torch.sparse's "@" with our gradients, and
"triton", where Triton is installed, the same under grandpp.linalg.use_triton. "bandwidth" is the
share of the measured copy bandwidth that the compulsory bytes (matrix, features and result once
each) make up: above 1 the data stayed in the cache.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from common import SIZES, Row, alternate, graph, median_ms, parser, run
from torch import Tensor

from grandpp.graph import Graph, prepare_graph
from grandpp.linalg import spmm, use_triton
from grandpp.training.command import resolve_device
from grandpp.training.memory import keep_freed_memory
from grandpp.training.options import positive_int

CASES = (("Cora", 80), ("sbm-170k", 81))


Way = tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor, Tensor], Any]]


def ways_to_multiply(g: Graph, triton: bool) -> dict[str, Way]:
    """The products for a graph's device, each with the function that also returns both gradients.

    Args:
        g: The graph.
        triton: Whether to add the one by Triton's kernels.
    """
    csr = g.csr
    row, col, rowptr = csr.row, csr.col_long, csr.rowptr.long()

    def index_add(w: Tensor, v: Tensor) -> Tensor:
        return torch.zeros_like(v).index_add(0, row, w.unsqueeze(1) * v[col])

    def matrix(w: Tensor) -> Tensor:
        return torch.sparse_csr_tensor(rowptr, col, w, (csr.num_rows, csr.num_cols))

    def own_gradients(w: Tensor, v: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        a, v = matrix(w).requires_grad_(), v.detach().requires_grad_()
        to_matrix, to_v = torch.autograd.grad(torch.sparse.mm(a, v, reduce="sum"), (a, v), up)
        return to_matrix.values(), to_v

    def gradients(product: Callable[[Tensor, Tensor], Tensor]) -> Way:
        def run(w: Tensor, v: Tensor, up: Tensor) -> Any:
            w, v = w.detach().requires_grad_(), v.detach().requires_grad_()
            return torch.autograd.grad(product(w, v), (w, v), up)

        return product, run

    ours = gradients(lambda w, v: spmm(csr, w, v))
    ways: dict[str, Way] = {"ours": switched(ours, False), "index_add": gradients(index_add)}
    if csr.col.device.type == "cpu":
        product = partial(torch.sparse.mm, reduce="sum")
        ways["torch"] = (lambda w, v: product(matrix(w), v), own_gradients)
    if triton:
        ways["triton"] = switched(ours, True)
    return ways


def switched(way: Way, on: bool) -> Way:
    """The same with Triton's kernels on or off, in the backward pass too."""

    def under_switch(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Tensor) -> Any:
            with use_triton(on):
                return function(*arguments)

        return run

    return under_switch(way[0]), under_switch(way[1])


def copy_bandwidth(device: torch.device) -> float:
    """Bytes per second of a copy of 256 MiB, read and written."""
    source = torch.empty(2**26, device=device)
    target = torch.empty_like(source)
    seconds = alternate({"copy": lambda: target.copy_(source)}, 9, device)["copy"]
    return 2 * 4 * source.numel() / min(seconds)


def measure(
    name: str, channels: int, rounds: int, bandwidth: float, device: torch.device, root: Path | None
) -> list[Row]:
    """All rows of one case; the results are compared before they are timed."""
    data = graph(name, root, num_features=32)
    g = prepare_graph(data.edge_index.to(device), int(data.num_nodes or 0))
    torch.manual_seed(0)
    nnz = g.csr.col.numel()
    weight = torch.rand(nnz, device=device) / (nnz / g.num_nodes)
    x, up = (torch.randn(g.num_nodes, channels, device=device) for _ in range(2))
    ways = ways_to_multiply(g, device.type == "cuda" and find_spec("triton") is not None)
    expected = ways["index_add"][1](weight, x, up)
    for _, gradients in ways.values():
        for got, want in zip(gradients(weight, x, up), expected, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)
    compulsory = 8 * nnz + 4 * g.num_nodes + 2 * 4 * g.num_nodes * channels
    rows = []
    jobs = {
        "forward": {k: partial(f, weight, x) for k, (f, _) in ways.items()},
        "forward+backward": {k: partial(f, weight, x, up) for k, (_, f) in ways.items()},
    }
    for job, contestants in jobs.items():
        seconds = alternate(contestants, rounds, device)
        base = median_ms(seconds["ours"])
        rows += [
            {
                "graph": name,
                "nnz": nnz,
                "channels": channels,
                "job": job,
                "way": way,
                "ms": median_ms(times),
                "slower than ours": median_ms(times) / base,
                "bandwidth": compulsory / min(times) / bandwidth if job == "forward" else None,
                "device": str(device),
            }
            for way, times in seconds.items()
        ]
    return rows


def measure_all(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append the rows of every case."""
    device = resolve_device(args.device)
    bandwidth = copy_bandwidth(device)
    cases = ((args.graph, args.channels),) if args.graph else CASES
    for name, channels in cases:
        rows += measure(name, channels, args.rounds, bandwidth, device, args.root)
    sys.stderr.write(f"copy bandwidth {bandwidth / 1e9:.1f} GB/s\n")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser("kernels", __doc__, rounds=21)
    options.add_argument("--graph", help=f"a data set, or one of {', '.join(SIZES)}")
    options.add_argument(
        "--channels", type=positive_int, default=80, help="with --graph (default: 80)"
    )
    args = options.parse_args(argv)
    keep_freed_memory()
    return run("kernels", partial(measure_all, args), args.json)


if __name__ == "__main__":
    sys.exit(main())
