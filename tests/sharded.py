"""Graphs in shards, functions that run in several ranks, and layers to try on both."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from partitions import planted
from torch import Tensor
from torch_geometric.data import Data

from grandpp.data import low_label_split
from grandpp.distributed import ArrayEdges, NodeData, read_shard, sum_gradients, write_shards
from grandpp.distributed.clusters import cluster_settings, grow_targets
from grandpp.layers import GRANDConv, GRANDPPConv
from grandpp.training.settings import Run

MASKS = ("train_mask", "val_mask", "test_mask")
_CHANNELS = 6
# Imported once, by the process that ranks are forks of.
_PRELOAD = ["torch", "grandpp.layers", "grandpp.distributed.train_command"]


def undirected() -> Data:
    """120 nodes with a split."""
    return _split(planted(120, 3, features=20))


def directed() -> Data:
    """Weights of which some are 0, loops, repeated edges, isolated and transient nodes."""
    data = planted(120, 3, features=20)
    generator = torch.Generator().manual_seed(1)
    edges = data.edge_index[:, torch.rand(data.num_edges, generator=generator) < 0.3]
    loops = torch.tensor([[3, 3, 5], [3, 3, 5]])
    data.edge_index = torch.cat([edges, loops, edges[:, :20]], dim=1)
    weight = torch.rand(data.edge_index.size(1), generator=generator, dtype=torch.float64)
    weight[::7] = 0
    data.edge_weight = weight
    return _split(data)


GRAPHS = {"undirected": undirected, "directed": directed}


def _split(data: Data) -> Data:
    data.name = "planted"
    return low_label_split(data, 3, 0, "per_class_val", val_per_class=10)


def shards_of(
    data: Data,
    folder: Path,
    parts: int,
    method: str = "label_propagation",
    clusters_of: Run | None = None,
) -> Path:
    """Write the shards of a split graph, perhaps with the clusters of a run, below a folder."""
    split = {"labels_per_class": 3, "split": 0, "protocol": "per_class_val", "digest": "0"}
    about: dict[str, Any] = {"dataset": "planted", "split": split}
    grown: dict[str, Any] = {}
    if clusters_of is not None:
        grown = grow_targets(clusters_of, data)._asdict()
        about["clusters"] = cluster_settings(clusters_of)
    nodes = NodeData(
        data.y.numpy(),
        data.x.size(1),
        data.x.numpy(),
        masks={name: data[name].numpy() for name in MASKS},
        about=about,
        **grown,
    )
    weight = None if data.edge_weight is None else data.edge_weight.numpy()
    target = folder / f"shards-{parts}"
    write_shards(target, ArrayEdges(data.edge_index.numpy(), weight), nodes, parts, method)
    return target


def in_ranks(count: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What a function returns in each rank of a job, called with the rank and the arguments.

    "died" stands for a rank that ends without an answer.
    """
    if count == 1:
        return [function(0, *arguments)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        pipes = [context.Pipe(duplex=False) for _ in range(count)]
        processes = [
            context.Process(
                target=_rank, args=(pipe[1], store, rank, count, function, arguments), daemon=True
            )
            for rank, pipe in enumerate(pipes)
        ]
        for process, (_, theirs) in zip(processes, pipes, strict=True):
            process.start()
            theirs.close()
        found = []
        for end, _ in pipes:
            assert end.poll(120), "a rank does not answer"
            try:
                found.append(end.recv())
            except EOFError:
                found.append("died")
        for process in processes:
            process.join()
    failures = [value for value in found if isinstance(value, BaseException)]
    if failures:
        raise failures[0]
    return found


def _rank(
    pipe: Any,
    store: Path,
    rank: int,
    count: int,
    function: Callable[..., Any],
    arguments: Sequence[Any],
) -> None:
    torch.set_num_threads(1)
    try:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{store}",
            rank=rank,
            world_size=count,
            timeout=timedelta(seconds=60),
        )
        pipe.send(function(rank, *arguments))
        dist.barrier()
        dist.destroy_process_group()
    except BaseException as error:
        pipe.send(RuntimeError(f"rank {rank}: {type(error).__name__}: {error}"))


def _cases() -> dict[str, Callable[[], torch.nn.Module]]:
    nonlinear: dict[str, Any] = {"time": 1.0, "mode": "nonlinear", "heads": 2}
    cases: dict[str, Callable[[], torch.nn.Module]] = {}
    # Without attention long enough for Chebyshev polynomials.
    for score, time in (
        ("scaled_dot", 2.0), ("gat", 2.0), ("pearson", 2.0), ("exp_kernel", 2.0), (None, 24.0)
    ):  # fmt: skip
        cases[f"grand-l {score}"] = lambda score=score: GRANDConv(
            _CHANNELS, time=2.0, attention=score, heads=2, learn_beta=True
        )
        cases[f"grand++-l {score}"] = lambda score=score, time=time: GRANDPPConv(
            _CHANNELS, time=time, attention=score, heads=2, normalization="squareplus"
        )
    for gradient in ("direct", "checkpoint", "adjoint"):
        cases[f"grand-nl tsit5 {gradient}"] = lambda gradient=gradient: GRANDConv(
            _CHANNELS, solver="tsit5", gradient=gradient, **nonlinear
        )
    for initial in ("features", "shifted", "zero"):
        cases[f"grand++-nl {initial}"] = lambda initial=initial: GRANDPPConv(
            _CHANNELS, solver="dopri5", initial=initial, learn_gain=True, **nonlinear
        )
    cases["grand++-nl dopri5 checkpoint"] = lambda: GRANDPPConv(
        _CHANNELS, solver="dopri5", gradient="checkpoint", source="paper", **nonlinear
    )
    cases["grand++-l rk4"] = lambda: GRANDPPConv(
        _CHANNELS, time=2.0, solver="rk4", step_size=0.5, heads=2
    )
    return cases


CASES = _cases()


def outcome(name: str, graph: Any, nodes: Tensor, size: int, trusted: Tensor, weight: Any) -> Any:
    """State, gradient to the input and gradients to parameters of a layer with random ones."""
    torch.manual_seed(0)
    conv = CASES[name]().double()
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x = torch.randn(size, _CHANNELS, dtype=torch.float64)[nodes].requires_grad_()
    target = torch.randn(size, _CHANNELS, dtype=torch.float64)[nodes]
    arguments = (trusted,) if isinstance(conv, GRANDPPConv) else ()
    solution = conv.solve(x, graph, weight, *arguments)
    (solution.y * target).sum().backward()
    sum_gradients(conv.parameters())
    gradients = {name: p.grad.numpy() for name, p in conv.named_parameters()}
    steps = (solution.stats.nfe_forward, solution.stats.steps, solution.stats.rejected)
    return solution.y.detach().numpy(), x.grad.numpy(), gradients, steps


def sharded_outcomes(rank: int, folder: Path, parts: int) -> Any:
    """The outcomes of all layers on a shard, and its nodes."""
    shard = read_shard(folder, rank, parts)
    size = shard.info["nodes"]
    found = {
        name: outcome(name, shard.graph, shard.nodes, size, shard.masks["train_mask"], None)
        for name in CASES
    }
    return shard.nodes.numpy(), found


def whole(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Rows of all shards in the order of the graph."""
    nodes = np.concatenate([nodes for nodes, _ in parts])
    return np.concatenate([rows for _, rows in parts])[np.argsort(nodes)]


def ignores_interrupts():
    """Exit code 0 where Ctrl-C does not reach this process."""
    return 0 if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else 5
