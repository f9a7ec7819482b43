"""Time one training epoch (forward, backward, optimiser step) of each model, in turns.

Examples:
    python benchmarks/epoch.py
    python benchmarks/epoch.py --dataset ALL --out epochs.jsonl
    python benchmarks/epoch.py --dataset sbm-20k PubMed --rounds 5 --memory --json

The diffusion models and "gcn-sparse" take their tuned settings and are trained as
grandpp.training trains them: sparse features, the linear ones solved for the nodes of the loss
alone where these are fewer than channels, and grand++-cluster-l on its clusters too.
"reference" is GRAND-l written the ordinary way (benchmarks/reference.py) with the same parameters
at the tolerance of torchdiffeq that gives a solution error of at most 1e-4, as "error" shows. GCN
and APPNP are PyG's, with 64 hidden channels on the usual dense features, "gcn" without dropout on
the features, "gcn-input-dropout" with it, as in Kipf and Welling (2017) and PyG's example.

"ms" is the median over rounds, "vs_grand-l" and "vs_gcn" the row's time over that of grand-l and of
gcn-input-dropout, "faster_than_reference" the reference's time over the row's; each is the median
of the ratios within a round. ALL is the six graphs of the thesis and, unless others are named,
5 labels per class and the models of its table.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import SIZES, Row, alternate, graph, in_own_process, median_ms, parser, ratio, run
from reference import Reference
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import APPNP, GCN, MLP

from grandpp.data import low_label_split
from grandpp.models import to_dense
from grandpp.solvers import solve
from grandpp.studies.low_label.diffusion_settings import DiffusionSettings
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.command import resolve_device
from grandpp.training.loop import TrainingRun
from grandpp.training.memory import PeakMemory, keep_freed_memory
from grandpp.training.options import positive_int
from grandpp.training.settings import build_optimizer

PROGRAM = "epoch"
GROUPS = {"ALL": ("Cora", "CiteSeer", "PubMed", "CoauthorCS", "Computers", "Photo")}
TABLE = ("gcn-input-dropout", "reference", "grand-l", "grand++-l", "grand++-cluster-l", "grand-nl",
         "hb-l")  # fmt: skip
MODELS = ("grand-l", "grand++-l", "grand++-cluster-l", "hb-l", "grand-nl", "reference", "gcn",
          "gcn-input-dropout", "gcn-sparse", "appnp")  # fmt: skip
TOLERANCE = 1e-5  # of the reference and of the linear diffusion models
LEAST = 0.25  # seconds of a round that each model gets at least


class InputDropoutGCN(nn.Module):
    """The two-layer GCN of Kipf and Welling (2017), dropout on the features as in PyG's example."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        self.gcn = GCN(in_channels, hidden, 2, out_channels, dropout=0.5)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return logits."""
        return self.gcn(F.dropout(x, 0.5, self.training), edge_index)


class Predict(nn.Module):
    """APPNP (Gasteiger et al. 2019): two linear maps, then ten propagations."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        self.mlp = MLP([in_channels, hidden, out_channels], dropout=0.5, norm=None)
        self.propagation = APPNP(K=10, alpha=0.1, cached=True)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return logits."""
        return self.propagation(self.mlp(F.dropout(x, 0.5, self.training)), edge_index)


def plain_gcn(in_channels: int, hidden: int, out_channels: int) -> nn.Module:
    """The two-layer GCN of PyG without dropout on the features."""
    return GCN(in_channels, hidden, 2, out_channels, dropout=0.5)


OTHERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "gcn": plain_gcn,
    "gcn-input-dropout": InputDropoutGCN,
    "appnp": Predict,
}


def contestant(
    name: str, data: Data, labels_per_class: int = 20
) -> tuple[Callable[[], object], nn.Module]:
    """A function that trains one epoch on a split, and the model it trains."""
    kind = (
        "gcn" if name in OTHERS else {"reference": "grand-l", "gcn-sparse": "gcn"}.get(name, name)
    )
    config = tuned_run(str(data.name), kind, labels_per_class)
    if isinstance(config.settings, DiffusionSettings) and config.settings.mode == "linear":
        config = config.with_settings(rtol=TOLERANCE)
    if name not in (*OTHERS, "reference"):
        ours = TrainingRun.begin(config, data, data.x.device)
        return partial(ours.train_epoch, build_optimizer(config, ours.model)), ours.model
    torch.manual_seed(0)
    if name == "reference":
        part: Any = TrainingRun.begin(config, data, data.x.device).model
        model: nn.Module = Reference(part, data.edge_index, int(data.num_nodes or 0), TOLERANCE)
        inputs = (to_dense(data.x),)
    else:
        model = OTHERS[name](data.num_features, 64, int(data.y.max()) + 1).to(data.x.device)
        inputs = (to_dense(data.x), data.edge_index)
    optimizer = build_optimizer(config, model)
    mask, y = data.train_mask, data.y[data.train_mask]

    def epoch() -> None:
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(*inputs)[mask], y).backward()
        optimizer.step()

    return epoch, model


@torch.no_grad()
def solution_errors(models: dict[str, Any], data: Data) -> dict[str, float]:
    """Largest relative error of the diffused state of both GRAND-l, on the same random state."""
    if not {"grand-l", "reference"} <= models.keys():
        return {}
    errors: dict[str, float] = {}
    x = torch.randn(data.num_nodes, models["grand-l"].conv.channels, device=data.x.device)
    conv = models["reference"].model.conv.double()
    field: Any = conv.prepare(x.double(), data.edge_index)
    span = (0.0, conv.time)
    exact = torch.as_tensor(solve(field, x.double(), span, solver="exact", rtol=1e-12).y)
    conv.float()
    own = conv.solve(x, data.edge_index).y
    other = models["reference"].diffuse(x)
    for name, y in (("grand-l", own), ("reference", other)):
        errors[name] = float((y.double() - exact).abs().max() / exact.abs().max())
    return errors


def measure_graph(args: argparse.Namespace, name: str) -> list[Row]:
    """One row per model, all of them timed in turns on one graph."""
    device = resolve_device(args.device)
    data = low_label_split(graph(name, args.root), args.labels_per_class, seed=0).to(device)
    made = {model: contestant(model, data, args.labels_per_class) for model in args.models}
    epochs = {model: epoch for model, (epoch, _) in made.items()}
    seconds = alternate(epochs, args.rounds, device, least=LEAST, label=name)
    errors = solution_errors({model: module for model, (_, module) in made.items()}, data)
    grand, gcn, slow = map(seconds.get, ("grand-l", "gcn-input-dropout", "reference"))
    rows: list[Row] = []
    for model, times in seconds.items():
        faster = ratio(slow, times) if slow else None
        rows.append(
            {
                "dataset": name,
                "model": model,
                "ms": median_ms(times),
                "fastest_ms": 1e3 * min(times),
                "vs_grand-l": ratio(times, grand),
                "vs_gcn": ratio(times, gcn),
                "faster_than_reference": faster,
                "error": errors.get(model),
                "labels_per_class": args.labels_per_class,
                "threads": torch.get_num_threads(),
                "device": str(device),
            }
        )
    return rows


def peak_mib(args: argparse.Namespace) -> float:
    """Peak memory of this process while it builds one model and trains two epochs."""
    device = resolve_device(args.device)
    data = low_label_split(graph(args.datasets[0], args.root), args.labels_per_class, seed=0)
    data = data.to(device)
    with PeakMemory(device) as memory:
        epoch, _ = contestant(args.models[0], data, args.labels_per_class)
        for _ in range(2):
            epoch()
    return memory.mib


def measure(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append one row per graph and model; each graph is freed before the next one."""
    resolve_device(args.device)
    if args.out:
        args.out.open("a").close()  # fails here, before anything is timed
    for name in args.datasets:
        found = measure_graph(args, name)
        gc.collect()
        for row in found if args.memory else ():
            command = [__file__, "--peak", "--dataset", name, "--model", row["model"],
                       "--labels-per-class", str(args.labels_per_class), "--device", args.device,
                       *(["--root", str(args.root)] if args.root else [])]  # fmt: skip
            row["peak_mib"] = in_own_process(PROGRAM, command, row["model"])
        rows += found
        if args.out:
            with args.out.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in found)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser(PROGRAM, __doc__, rounds=15, note=", 5 for ALL")
    add = options.add_argument
    add("--dataset", action="extend", nargs="+", metavar="NAME", dest="datasets",
        help=f"data sets, {', '.join(SIZES)}, or ALL (default: Cora)")  # fmt: skip
    add("--model", action="extend", nargs="+", choices=MODELS, metavar="NAME", dest="models",
        help=f"one or more of {', '.join(MODELS)} (default: all of them; for ALL "
        f"{', '.join(TABLE)})")  # fmt: skip
    add("--labels-per-class", type=positive_int, metavar="K", help="(default: 20; 5 for ALL)")
    add("--memory", action="store_true", help="also measure the peak memory of each model, in a "
        "process of its own")  # fmt: skip
    add("--threads", type=positive_int, metavar="N", help="threads of torch (default: torch's)")
    add("--out", type=Path, metavar="FILE.jsonl", help="append one JSON line per row, graph by "
        "graph")  # fmt: skip
    add("--peak", action="store_true", help="print the peak memory of the one model on the one "
        "graph in this process, in MiB, and nothing else")  # fmt: skip
    options.set_defaults(rounds=None)
    args = options.parse_args(argv)
    names = args.datasets or ["Cora"]
    whole = "ALL" in names
    args.datasets = list(dict.fromkeys(n for name in names for n in GROUPS.get(name, (name,))))
    args.models = list(dict.fromkeys(args.models or (TABLE if whole else MODELS)))
    args.labels_per_class = args.labels_per_class or (5 if whole else 20)
    args.rounds = args.rounds or (5 if whole else 15)
    keep_freed_memory()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.peak:
        return run(PROGRAM, lambda rows: print(json.dumps(peak_mib(args))), args.json)
    return run(PROGRAM, partial(measure, args), args.json)


if __name__ == "__main__":
    sys.exit(main())
