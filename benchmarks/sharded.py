"""Train on a graph in shards and on the whole graph: agreement, time of an epoch, memory of a rank.

Examples:
    python benchmarks/sharded.py --dataset Cora --parts 1 2 4 --double
    python benchmarks/sharded.py --nodes 20000 --edges 60000 --model grand++-l grand-nl --double
    python benchmarks/sharded.py --nodes 169000 --edges 1250000 --parts 1 2 --features 128
    python benchmarks/sharded.py --nodes 1000000 --edges 10000000 --parts 2 --no-whole --epochs 1
    python benchmarks/sharded.py --nodes 100000 --edges 500000 --parts 1 4 --limit-gib 3

Every training runs in processes of its own, one thread each. The whole graph is trained by the
ordinary model, with the same dropout, drawn by node. Deviations are relative: of the loss after the
last epoch, of the gradient of any parameter there, of the logits after it. "received" is what a
rank receives of the others in an epoch, in MiB, the largest of all ranks.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch_geometric.data import Data

from grandpp.data import load_dataset, low_label_split, split_digest
from grandpp.distributed import ArrayEdges, NodeData, metis_is_there, read_shard, write_shards
from grandpp.distributed.job import joined, run_ranks
from grandpp.distributed.training import ShardedTraining
from grandpp.models import NodeDropout, SparseFeatures, drop_by_node, sparse_if_sparse
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.command import Command, Console, run_command
from grandpp.training.memory import PeakMemory, keep_freed_memory
from grandpp.training.options import ReportOptions, option, positive_int
from grandpp.training.settings import Run, build_optimizer

_MASKS = ("train_mask", "val_mask", "test_mask")


@dataclass(frozen=True, kw_only=True)
class ShardedBenchmark(ReportOptions):
    """The graph, the models and the numbers of ranks."""

    dataset: str = option("data set by name; sbm takes the sizes below", default="sbm")
    nodes: int = option("number of nodes of sbm", default=20_000, parse=positive_int)
    edges: int = option("number of undirected edges of sbm", default=60_000, parse=positive_int)
    features: int = option("number of features of sbm", default=1433, parse=positive_int)
    labels_per_class: int = option("labels per class", default=20, parse=positive_int)
    models: tuple[str, ...] = option("models", default=("grand++-l",), flag="--model")
    parts: tuple[int, ...] = option("numbers of ranks", default=(1, 2, 4), parse=positive_int)
    epochs: int = option("training epochs", default=5, parse=positive_int)
    hidden: int | None = option("channels", default=None, parse=positive_int)
    time: float | None = option("integration time", default=None)
    double: bool = option("train in float64", default=False)
    whole: bool = option("train on the whole graph too", default=True, negatable=True)
    limit_gib: float | None = option("address space of every process in GiB", default=None)


def measure(options: ShardedBenchmark, console: Console) -> int:
    """Measure every model on every number of ranks."""
    columns = (
        "model      ranks  cut %  halo %  s/epoch  peak MiB  received  loss     gradient  logits"
    )
    console.show(columns)
    for model in options.models:
        right = None
        if options.whole:
            right = _measured(options, model, 0, None)
            _report(console, model, 0, right, right)
        for parts in options.parts:
            with tempfile.TemporaryDirectory() as folder:
                shards = Path(folder) / "shards"
                code = run_ranks(_cut, (options, parts, shards), 1)
                if code:
                    return code
                found = _measured(options, model, parts, shards)
            _report(console, model, parts, found, right)
    return 0


def _measured(
    options: ShardedBenchmark, model: str, parts: int, shards: Path | None
) -> dict[str, Any]:
    """What the ranks wrote down; only the exit code if they failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        if shards is None:
            code = run_ranks(_train_whole, (options, model, out), 1)
            info: dict[str, Any] = {}
        else:
            code = run_ranks(_train_shard, (options, model, shards, out), parts)
            info = json.loads((shards / "shards.json").read_text())
        if code:
            return {"code": code, "info": info}
        ranks = [np.load(path) for path in sorted(out.glob("*.npz"))]
        nodes = np.concatenate([rank["nodes"] for rank in ranks])
        logits = np.concatenate([rank["logits"] for rank in ranks])[np.argsort(nodes)]
        names = [name for name in ranks[0].files if name.startswith("gradient ")]
        return {
            "code": 0,
            "info": info,
            "seconds": max(float(rank["seconds"]) for rank in ranks),
            "peak": max(float(rank["peak"]) for rank in ranks),
            "received": max(float(rank["received"]) for rank in ranks),
            "loss": float(ranks[0]["loss"]),
            "logits": logits,
            "gradients": {name: ranks[0][name] for name in names},
        }


def _report(
    console: Console,
    model: str,
    parts: int,
    found: Mapping[str, Any],
    right: Mapping[str, Any] | None,
) -> None:
    info, where = found["info"], str(parts or "whole")
    row: dict[str, Any] = {"model": model, "ranks": parts, "code": found["code"]}
    if info:
        row["cut"] = info["cut_edges"] / max(1, info["edges"])
        row["halo"] = sum(info["halos"]) / info["nodes"]
        row["method"] = info["method"]
    shares = [f"{100 * row[name]:6.2f}" if name in row else "     -" for name in ("cut", "halo")]
    if found["code"]:
        console.emit(row)
        console.show(f"{model:10} {where:5} {' '.join(shares)}  failed, exit code {row['code']}")
        return
    row |= {name: found[name] for name in ("seconds", "peak", "received", "loss")}
    words = ["        -"] * 3
    if right is not None and not right["code"] and parts:
        gaps = [_gap(found["gradients"][k], v) for k, v in right["gradients"].items()]
        row["loss_gap"] = abs(found["loss"] - right["loss"]) / abs(right["loss"])
        row["gradient_gap"], row["logits_gap"] = max(gaps), _gap(found["logits"], right["logits"])
        same = found["logits"].argmax(1) == right["logits"].argmax(1)
        row["other_predictions"] = int((~same).sum())
        words = [f"{row[k]:9.1e}" for k in ("loss_gap", "gradient_gap", "logits_gap")]
    console.emit(row)
    console.show(f"{model:10} {where:5} {shares[0]} {shares[1]}  {row['seconds']:7.2f}  "
                 f"{row['peak']:8.0f}  {row['received']:8.1f} {' '.join(words)}")  # fmt: skip


def _gap(a: Any, b: Any) -> float:
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-300))


def _graph(options: ShardedBenchmark) -> Data:
    sizes: dict[str, Any] = {}
    if options.dataset == "sbm":
        sizes = {"num_nodes": options.nodes, "num_edges": options.edges}
        sizes["num_features"] = options.features
    data = load_dataset(options.dataset, progress=False, **sizes)
    return low_label_split(data, options.labels_per_class, 0)


def _run(options: ShardedBenchmark, dataset: str, model: str) -> Run:
    settings: dict[str, Any] = {"epochs": options.epochs, "hidden": options.hidden}
    settings["time"] = options.time
    if model.endswith("-nl"):
        settings["solver"] = "tsit5"
    return tuned_run(dataset, model, options.labels_per_class, **settings)


def _cut(options: ShardedBenchmark, parts: int, shards: Path) -> int:
    data = _graph(options)
    x = sparse_if_sparse(data.x)
    dense = sparse = None
    if isinstance(x, SparseFeatures):
        parts_of = (x.csr.rowptr, x.csr.col, x.values)
        sparse = tuple(part.numpy() for part in parts_of)
    else:
        dense = x.numpy()
    about = {
        "dataset": str(data.name),
        "split": {
            "labels_per_class": options.labels_per_class,
            "split": 0,
            "protocol": "grand",
            "digest": split_digest(data),
        },
    }
    masks = {name: data[name].numpy() for name in _MASKS}
    nodes = NodeData(data.y.numpy(), data.x.size(1), dense, sparse, masks, about)
    method = "metis" if metis_is_there() else "label_propagation"
    write_shards(shards, ArrayEdges(data.edge_index.numpy()), nodes, parts, method)
    return 0


def _begin(options: ShardedBenchmark) -> torch.dtype:
    torch.set_num_threads(1)
    keep_freed_memory()
    if options.limit_gib is not None:
        size = int(options.limit_gib * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    return torch.float64 if options.double else torch.float32


def _save(out: Path, rank: int, model: torch.nn.Module, **values: Any) -> None:
    gradients = {f"gradient {n}": p.grad.numpy() for n, p in model.named_parameters()}  # type: ignore[union-attr]
    np.savez(out / f"{rank:05d}.npz", **values, **gradients)


@contextmanager
def _counting(received: list[int]) -> Iterator[None]:
    """Add up the bytes that arrive in this process from others."""
    exchange = dist.all_to_all_single

    def counted(into: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        received.append(into.numel() * into.element_size())
        return exchange(into, *arguments, **options)

    dist.all_to_all_single = counted  # type: ignore[assignment]
    try:
        yield
    finally:
        dist.all_to_all_single = exchange


def _train_shard(options: ShardedBenchmark, model: str, shards: Path, out: Path) -> int:
    dtype = _begin(options)
    with joined(600) as job, PeakMemory(torch.device("cpu")) as memory:
        shard = read_shard(shards, job.rank, job.size)
        run = _run(options, shard.info["dataset"], model)
        training = ShardedTraining.begin(run, shard, job, dtype)
        optimizer, loss, seconds = build_optimizer(run, training.model), math.nan, []
        received: list[int] = []
        with _counting(received):
            for epoch in range(1, options.epochs + 1):
                begun = time.perf_counter()
                loss = training.train_epoch(epoch, optimizer)
                seconds.append(time.perf_counter() - begun)
        logits = training.predict().numpy()
    _save(
        out, job.rank, training.model, loss=loss, seconds=np.median(seconds), peak=memory.mib,
        received=sum(received) / options.epochs / 2**20, nodes=shard.nodes.numpy(), logits=logits,
    )  # fmt: skip
    return 0


def _train_whole(options: ShardedBenchmark, model: str, out: Path) -> int:
    dtype = _begin(options)
    data = _graph(options)
    with PeakMemory(torch.device("cpu")) as memory:
        run = _run(options, str(data.name), model)
        seed = int(np.random.SeedSequence([run.split, run.seed]).generate_state(1)[0])
        torch.manual_seed(seed)
        network = run.settings.build(data.num_features, int(data.y.max()) + 1).to(dtype)
        by_node = NodeDropout(seed, torch.arange(data.num_nodes))
        drop_by_node(network, by_node)
        optimizer, x = build_optimizer(run, network), sparse_if_sparse(data.x.to(dtype))
        train, seconds, loss = data.train_mask, [], torch.tensor(math.nan)
        for epoch in range(1, options.epochs + 1):
            begun = time.perf_counter()
            network.train()
            by_node.begin(epoch)
            optimizer.zero_grad()
            logits = network.classify(x, data.edge_index, None, train).logits
            loss = F.cross_entropy(logits[train], data.y[train])
            loss.backward()
            optimizer.step()
            seconds.append(time.perf_counter() - begun)
        network.eval()
        with torch.no_grad():
            logits = network(x, data.edge_index, None, train)
    _save(
        out, 0, network, loss=loss.item(), seconds=np.median(seconds), peak=memory.mib,
        received=0.0, nodes=np.arange(data.num_nodes), logits=logits.numpy(),
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    command = Command("sharded", __doc__ or "", ShardedBenchmark, measure)
    sys.exit(run_command(command, program="benchmarks/sharded.py"))
