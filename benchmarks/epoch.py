"""Time one training epoch (forward, backward, optimiser step) of each model, in turns.

Examples:
    python benchmarks/epoch.py
    python benchmarks/epoch.py --dataset sbm-20k --rounds 5 --json

"reference" is GRAND-l written the ordinary way (benchmarks/reference.py) with the same parameters
at the tolerance of torchdiffeq that gives a solution error of at most 1e-4, as "error" shows.
GCN and APPNP are PyG's, with 64 hidden channels on the usual dense features, "gcn" without dropout
on the features, "gcn-input-dropout" with it, as in Kipf and Welling (2017) and PyG's example;
"gcn-sparse" is the latter in grandpp.models, with sparse features. The diffusion models take their
tuned settings, skip zero features and decode only the labelled nodes. "ratio" is the reference's
time over the row's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from common import SIZES, Row, alternate, graph, median_ms, parser, run
from reference import Reference
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import APPNP, GCN, MLP

from grandpp.data import low_label_split
from grandpp.experiment.build import build_model, build_optimizer
from grandpp.experiment.cli import resolve_device
from grandpp.experiment.memory import keep_freed_memory
from grandpp.experiment.registry import is_diffusion
from grandpp.experiment.settings import tuned_config
from grandpp.models import sparse_if_sparse, to_dense
from grandpp.solvers import solve

MODELS = ("grand-l", "grand++-l", "hb-l", "grand-nl", "reference", "gcn", "gcn-input-dropout",
          "gcn-sparse", "appnp")  # fmt: skip
TOLERANCE = 1e-5  # of the reference and of the linear diffusion models


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


OTHERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "gcn-input-dropout": InputDropoutGCN,
    "appnp": Predict,
}


def contestant(name: str, data: Data) -> tuple[Callable[[], None], Any]:
    """A function that trains one epoch, and the model it trains."""
    torch.manual_seed(0)
    classes = int(data.y.max()) + 1
    kind = {"reference": "grand-l"}.get(name, "gcn" if name in (*OTHERS, "gcn-sparse") else name)
    rtol = TOLERANCE if kind.endswith("-l") else None
    dropout = 0.0 if name == "gcn" else None
    config = tuned_config(data.name, kind, 20, rtol=rtol, input_dropout=dropout)
    model: Any = build_model(config, data.num_features, classes).to(data.x.device)
    if name in OTHERS:
        model = OTHERS[name](data.num_features, 64, classes).to(data.x.device)
    optimizer = build_optimizer(config, model)
    skips_zeros = is_diffusion(kind) or name == "gcn-sparse"
    x = sparse_if_sparse(data.x) if skips_zeros and name != "reference" else to_dense(data.x)
    if name == "reference":
        model = Reference(model, data.edge_index, data.num_nodes, TOLERANCE)
    mask, y = data.train_mask, data.y[data.train_mask]

    def logits() -> Tensor:
        if name == "reference":
            return model(x)[mask]
        if name in OTHERS:
            return model(x, data.edge_index)[mask]
        return model.classify(x, data.edge_index, data.edge_weight, mask, wanted=mask).logits

    def epoch() -> None:
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(logits(), y).backward()
        optimizer.step()

    return epoch, model


@torch.no_grad()
def solution_errors(models: dict[str, Any], data: Data) -> dict[str, float]:
    """Largest relative error of the diffused state of both GRAND-l, on the same random state."""
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


def measure(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append one row per model."""
    device = resolve_device(args.device)
    data = low_label_split(graph(args.dataset, args.root), 20, seed=0).to(device)
    names = args.models or MODELS
    made = {name: contestant(name, data) for name in names}
    seconds = alternate({name: epoch for name, (epoch, _) in made.items()}, args.rounds, device)
    errors = {}
    if {"grand-l", "reference"} <= made.keys():
        errors = solution_errors({name: model for name, (_, model) in made.items()}, data)
    base = median_ms(seconds["reference"]) if "reference" in seconds else None
    rows += [
        {
            "dataset": args.dataset,
            "model": name,
            "ms": median_ms(times),
            "fastest_ms": 1e3 * min(times),
            "ratio": base / median_ms(times) if base else None,
            "error": errors.get(name),
            "threads": torch.get_num_threads(),
            "device": str(device),
        }
        for name, times in seconds.items()
    ]


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser("epoch", __doc__, rounds=15)
    options.add_argument(
        "--dataset", default="Cora", help=f"a data set, or one of {', '.join(SIZES)}"
    )
    options.add_argument("--model", action="append", choices=MODELS, dest="models")
    args = options.parse_args(argv)
    keep_freed_memory()
    return run("epoch", partial(measure, args), args.json)


if __name__ == "__main__":
    sys.exit(main())
