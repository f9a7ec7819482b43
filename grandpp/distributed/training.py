"""Train a node classifier on a sharded graph: parameters in every rank, gradients summed."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from grandpp.data.features import binary, scale_features
from grandpp.distributed.clusters import CLUSTERED, cluster_settings
from grandpp.distributed.exchange import RankReductions
from grandpp.distributed.gradients import sum_gradients
from grandpp.distributed.job import Job, broadcast
from grandpp.distributed.read import MASKS, Shard
from grandpp.linalg import all_finite
from grandpp.models import (
    DiffusionClassifier,
    NodeDropout,
    NodeModel,
    SparseFeatures,
    drop_by_node,
    pool_with_clusters,
    training_shares,
)
from grandpp.solvers import SolveStats
from grandpp.training.atomic_files import write_whole
from grandpp.training.loggers import EpochValues, RunLog
from grandpp.training.memory import PeakMemory
from grandpp.training.result import DIVERGED, FAILURES, NO_TEST, DivergedError, RunResult
from grandpp.training.settings import Run, build_optimizer

NEEDS_WHOLE_GRAPH: tuple[str, ...] = ("rewiring", "best_time")
"""Settings that a sharded graph cannot have."""

_PARTS = ("settings", "epoch", "result", "nfe", "model", "optimizer")


@dataclass(frozen=True)
class Checkpoints:
    """Where checkpoints are written after every epoch, by rank 0.

    Args:
        path: The file.
        resume: Go on from it if it exists; the result is that of a training that was never
            interrupted. (default: ``False``, a checkpoint that exists is replaced)
    """

    path: Path
    resume: bool = False


def train_shard(
    run: Run,
    shard: Shard,
    job: Job,
    *,
    checkpoints: Checkpoints | None = None,
    on_epoch: Callable[[int], object] = lambda epoch: None,
    log: RunLog | None = None,
    dtype: torch.dtype = torch.float32,
) -> RunResult:
    """Train and evaluate, all ranks together; the result is the same in every rank.

    Initial parameters are those of :func:`grandpp.training.loop.train_run`; dropout is drawn by
    node, so that the number of ranks changes rounding alone.

    Args:
        run: The run.
        shard: What this rank has of the graph and the split.
        job: The ranks.
        checkpoints: Where to write and resume. (default: ``None``)
        on_epoch: Called with the number of every epoch. (default: nothing)
        log: Gets the values of every epoch, those of all ranks. (default: ``None``)
        dtype: Type of parameters and states. (default: ``torch.float32``)

    Raises:
        ValueError: If the split has no training node, settings are not to be had on sharded graphs,
            or a checkpoint belongs to another training.
        LostRankError: If another rank is gone.
    """
    check_settings(run, shard.info)
    start = time.perf_counter()
    training = ShardedTraining.begin(run, shard, job, dtype)
    optimizer = build_optimizer(run, training.model)
    result, done = RunResult(), 0
    if checkpoints is not None and checkpoints.resume:
        result, done = training.restore(checkpoints.path, run, optimizer)
    with PeakMemory(torch.device("cpu")) as memory:
        try:
            for epoch in range(done + 1, run.settings.epochs + 1):
                if result.out_of_patience(run.settings.patience):
                    break
                began = time.perf_counter()
                loss = training.train_epoch(epoch, optimizer)
                val_accuracy = training.evaluate(epoch, result)
                if log is not None:
                    seconds = time.perf_counter() - began
                    log.epoch(training.epoch_values(epoch, loss, val_accuracy, seconds))
                if checkpoints is not None and job.leads:
                    training.save(checkpoints.path, run, optimizer, epoch, result)
                on_epoch(epoch)
            result.energy = training.energy()
        except FAILURES as error:
            result = RunResult.failed(error)
    training.record_cost(result, time.perf_counter() - start, memory.mib)
    return result


def check_settings(run: Run, info: dict[str, Any]) -> None:
    """Refuse settings that need the whole graph, and clusters that the shards do not hold.

    Args:
        run: The run.
        info: The content of ``shards.json``.

    Raises:
        ValueError: If there are some.
    """
    wanted, there = cluster_settings(run), info.get("clusters")
    if wanted and wanted != there:
        raise ValueError(
            f"expected shards with the clusters of '{run.model}', {_listed(wanted)} (got "
            f"{_listed(there) if there else 'shards without clusters'}): partition again with "
            f"--clusters, which takes {', '.join(CLUSTERED)}"
        )
    for name in NEEDS_WHOLE_GRAPH:
        if getattr(run.settings, name, None):
            raise ValueError(
                f"expected settings that a sharded graph can have (got '{name}' with model "
                f"'{run.model}', which needs the whole graph)"
            )


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


@dataclass
class ShardedTraining:
    """A model on the shard of this rank.

    Args:
        model: The model, the same in all ranks.
        shard: The shard.
        job: The ranks.
        x: Features as the model takes them.
        masks: Masks without the nodes whose label is not known.
        labelled: Number of training nodes in all ranks.
        dropout: Draws that belong to nodes.
        targets: Classes and shares in the loss of all nodes here, in place of the training nodes.
            (default: ``None``)
        pool: Probabilities of the clusters here ``[n, C]`` and their weight in the predictions.
            (default: ``None``, no pool)
        nfe_forward, nfe_backward: Evaluations of every epoch so far.
    """

    model: NodeModel
    shard: Shard
    job: Job
    x: Tensor | SparseFeatures
    masks: dict[str, Tensor]
    labelled: int
    dropout: NodeDropout
    targets: tuple[Tensor, Tensor] | None = None
    pool: tuple[Tensor, float] | None = None
    nfe_forward: list[int] = field(default_factory=list)
    nfe_backward: list[int] = field(default_factory=list)

    @classmethod
    def begin(cls, run: Run, shard: Shard, job: Job, dtype: torch.dtype) -> ShardedTraining:
        """Set the seeds and build the model.

        Raises:
            ValueError: If there is no training node with a known label.
        """
        if any(name not in shard.masks for name in MASKS):
            raise ValueError("expected shards with the masks of a split (got none)")
        known = shard.y >= 0
        masks = {name: mask & known for name, mask in shard.masks.items()}
        labelled = int(shard.graph.reductions.sum(masks["train_mask"].sum()))
        if not labelled:
            raise ValueError("expected training nodes with a known label (got none)")
        seeds = np.random.SeedSequence([run.split, run.seed])
        seed = int(seeds.generate_state(1)[0])
        torch.manual_seed(seed)
        model = run.settings.build(shard.info["features"], shard.info["classes"]).to(dtype)
        by_node = NodeDropout(seed, shard.nodes)
        drop_by_node(model, by_node)
        x = _features(shard, dtype, run.settings.features)
        model.fit_features(x, shard.graph.reductions)
        targets = shard.targets if run.settings.cluster_labels else None
        label, weight = targets or (shard.y[masks["train_mask"]], None)
        classes, reductions = shard.info["classes"], shard.graph.reductions
        model.fit_shares(training_shares(label, weight, classes, reductions))
        pool = None
        if run.settings.cluster_pool:
            if shard.target_proba is None:
                raise ValueError(
                    "expected shards with the probabilities of the clusters for 'cluster_pool' "
                    "(got shards of an older version): partition again"
                )
            pool = shard.target_proba, run.settings.cluster_pool
        return cls(model, shard, job, x, masks, labelled, by_node, targets, pool)

    @property
    def reductions(self) -> RankReductions:
        """Reductions over all ranks."""
        return self.shard.graph.reductions

    def loss(self) -> tuple[Tensor, SolveStats | None]:
        """The share of this rank in the mean loss over all ranks, and the cost."""
        chosen = self.masks["train_mask"]
        if self.targets is not None:
            label, share = self.targets
            logits, stats = self.model.classify(self.x, self.graph, None, chosen)
            losses = F.cross_entropy(logits, label, reduction="none")
            return share.to(losses) @ losses, stats
        logits, stats = self.model.classify(self.x, self.graph, None, chosen, wanted=chosen)
        total = F.cross_entropy(logits, self.shard.y[chosen], reduction="sum")
        return total / self.labelled, stats

    @property
    def graph(self) -> Any:
        """The graph, which stands in place of ``edge_index``."""
        return self.shard.graph

    def train_epoch(self, epoch: int, optimizer: torch.optim.Optimizer) -> float:
        """Train for an epoch; return the loss over all ranks.

        Raises:
            DivergedError: If a number is not finite after it.
        """
        self.model.train()
        self.dropout.begin(epoch)
        optimizer.zero_grad()
        loss, stats = self.loss()
        loss.backward()
        sum_gradients(self.model.parameters())
        optimizer.step()
        total = self.reductions.sum(loss.detach())
        if not all(all_finite(p) for p in (total, *self.model.parameters())):
            raise DivergedError(DIVERGED)
        if stats is not None:
            self.nfe_forward.append(stats.nfe_forward)
            self.nfe_backward.append(stats.nfe_backward)
        return float(total)

    @torch.no_grad()
    def predict(self) -> Tensor:
        """The adjusted logits ``[n, C]`` of the nodes here."""
        self.model.eval()
        trusted = self.masks["train_mask"]
        logits = self.model.classify(self.x, self.graph, None, trusted).logits
        if self.pool is not None:
            logits = pool_with_clusters(logits, *self.pool)
        return self.model.adjust(logits, self.reductions)

    def evaluate(self, epoch: int, result: RunResult) -> float | None:
        """Record the accuracies after an epoch; return that on validation nodes, if any."""
        right = self.predict().argmax(dim=-1) == self.shard.y
        masks = [self.masks[name] for name in ("val_mask", "test_mask")]
        counts = torch.stack([v.sum() for m in masks for v in (right & m, m)])
        hits, nodes = self.reductions.sum(counts).view(2, 2).t().tolist()
        val, test = (h / n if n else None for h, n in zip(hits, nodes, strict=True))
        result.last_test_accuracy, result.epochs = test, epoch
        if val is None:
            result.test_accuracy, result.best_epoch = test, epoch
        elif result.val_accuracy is None or val > result.val_accuracy:
            result.val_accuracy, result.test_accuracy, result.best_epoch = val, test, epoch
        return val

    def epoch_values(
        self, epoch: int, loss: float, val_accuracy: float | None, seconds: float
    ) -> EpochValues:
        """What an epoch was like, for a logger."""
        forward, backward = (n[-1] if n else None for n in (self.nfe_forward, self.nfe_backward))
        return EpochValues(epoch, loss, val_accuracy, forward, backward, seconds)

    @torch.no_grad()
    def energy(self) -> float | None:
        """Share of the encoded features' Dirichlet energy that is left; ``None`` without any."""
        model = self.model
        if not isinstance(model, DiffusionClassifier):
            return None
        model.eval()
        before = model.encoder(self.x)
        after = model.diffuse(before, self.graph, None, self.masks["train_mask"]).features
        energies = [self._sum_of_squares(h) for h in (after, before)]
        share = float(energies[0] / energies[1])
        return share if np.isfinite(share) else None

    def _sum_of_squares(self, h: Tensor) -> Tensor:
        """The sum of w |h_i - h_j|^2 over all edges."""
        graph, h = self.shard.graph, h.detach()
        csr, total = graph.csr, h.new_zeros(())
        every = csr.at_columns(h)
        length = max(1, 2**22 // max(1, h.size(1)))
        for start in range(0, csr.col.numel(), length):
            here = slice(start, start + length)
            gaps = (every[csr.col_long[here]] - every[csr.row[here]]).square().sum(-1)
            total += (gaps if graph.weight is None else gaps * graph.weight[here].to(h)).sum()
        return self.reductions.sum(total)

    def record_cost(self, result: RunResult, seconds: float, mib: float | None) -> None:
        """Record the cost of the run: the longest time and the largest memory of any rank."""
        tested = self.reductions.sum(self.masks["test_mask"].sum())
        if result.status == "success" and not bool(tested):
            result.message = NO_TEST
        most = torch.tensor([seconds, mib or 0.0], dtype=torch.float64)
        result.seconds, peak = self.reductions.max(most).tolist()
        result.peak_memory_mb = peak or None
        if self.nfe_forward:
            result.nfe_forward = float(np.mean(self.nfe_forward))
            result.nfe_backward = float(np.mean(self.nfe_backward))

    def save(
        self,
        path: Path,
        run: Run,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        result: RunResult,
    ) -> None:
        """Write everything that the next epoch depends on, in one step."""
        buffer = io.BytesIO()
        torch.save(
            {
                "settings": self._settings(run),
                "epoch": epoch,
                "result": asdict(result),
                "nfe": [self.nfe_forward, self.nfe_backward],
                "model": self.model.state_dict(),
                "optimizer": optimizer.state_dict(),
            },
            buffer,
        )
        write_whole(path, buffer.getvalue())

    def restore(
        self, path: Path, run: Run, optimizer: torch.optim.Optimizer
    ) -> tuple[RunResult, int]:
        """Go on from a checkpoint that rank 0 reads; from the start if there is none.

        Raises:
            ValueError: If it is no checkpoint, or one of another training.
        """
        there = self.job.leads and path.exists()
        content = broadcast(path.read_bytes() if there else b"", self.job)
        if not content:
            return RunResult(), 0
        try:
            found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            parts = {name: found[name] for name in _PARTS}
        except Exception as error:  # broken files raise anything, from IndexError to BadZipFile
            raise ValueError(f"expected a checkpoint in {path} (got another file)") from error
        kept, mine = parts["settings"], self._settings(run)
        other = sorted(k for k in {*kept, *mine} if kept.get(k) != mine.get(k))
        if other:
            words = ", ".join(f"{k}={kept.get(k)} there, {mine.get(k)} here" for k in other)
            raise ValueError(f"expected a checkpoint of the same training in {path} ({words})")
        if parts["epoch"] > run.settings.epochs:
            raise ValueError(
                f"expected at least the {parts['epoch']} epochs of {path} "
                f"(got {run.settings.epochs})"
            )
        self.model.load_state_dict(parts["model"])
        optimizer.load_state_dict(parts["optimizer"])
        self.nfe_forward, self.nfe_backward = (list(numbers) for numbers in parts["nfe"])
        return RunResult(**parts["result"]), int(parts["epoch"])

    def _settings(self, run: Run) -> dict[str, Any]:
        """What decides the result, but the number of epochs and of ranks."""
        info = self.shard.info
        choices = {k: v for k, v in run.choices().items() if k != "epochs"}
        sizes = {name: info[name] for name in ("nodes", "edges", "features", "classes")}
        return {**choices, **sizes, "split_digest": info["split"]["digest"]}


def _features(shard: Shard, dtype: torch.dtype, form: str | None) -> Tensor | SparseFeatures:
    """Features of the nodes here ``[n, F]`` in the form that a run has.

    Raises:
        ValueError: In every rank, if features are to be binary and no rank has a 0.
    """
    is_sparse = isinstance(shard.x, SparseFeatures)
    x: Tensor = shard.x.csr.matrix(shard.x.values) if is_sparse else shard.x  # type: ignore
    if form == "binary":
        # One part may have no 0 where others do.
        entries = int((x.values() if is_sparse else x).count_nonzero())
        if shard.graph.reductions.all(entries == x.numel()):
            raise ValueError("expected some features of 0 for features='binary' (got none)")
        x = binary(x)
    else:
        x = scale_features(x, form)
    return SparseFeatures(shard.x.csr, x.values().to(dtype)) if is_sparse else x.to(dtype)  # type: ignore
