"""Several runs of one model trained as one batch; equal to single runs up to rounding.

The runs share the graph and differ in split and seed. Each keeps its own parameters, its own
random numbers and its own loss; the loss of the batch is their sum, so that every gradient is the
single run's, and optimisers work entry by entry.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch_geometric.data import Data

from grandpp.models import Member, classify_batched
from grandpp.solvers import SolveStats
from grandpp.training.loggers import Logger, RunLog, followed
from grandpp.training.loop import TrainingRun, check_selection, split_of
from grandpp.training.memory import PeakMemory
from grandpp.training.random_stream import RandomStream
from grandpp.training.records import Record, make_record
from grandpp.training.result import DIVERGED, FAILURES, DivergedError, RunResult
from grandpp.training.settings import Run, build_optimizer
from grandpp.training.shared_views import with_views


def record_batch(
    runs: Sequence[Run],
    data: Data,
    device: torch.device,
    on_epoch: Callable[[int], object] = lambda place: None,
    logger: Logger | None = None,
) -> list[Record]:
    """Split the graph for every run of a batch, train them together, and return their records."""
    with followed(logger, runs) as following:
        here = copy.copy(data).to(device)  # once: the splits share its edges
        splits = [with_views(run, split_of(run, here), data) for run in runs]
        logs = None if logger is None else following.logs
        results = train_batch(runs, splits, device, on_epoch, logs)
        done = zip(runs, results, splits, strict=True)
        records = [make_record(*each, str(device)) for each in done]
        following.records = records
    return records


def train_batch(
    runs: Sequence[Run],
    splits: Sequence[Data],
    device: torch.device,
    on_epoch: Callable[[int], object] = lambda place: None,
    logs: Sequence[RunLog | None] | None = None,
) -> list[RunResult]:
    """Train and evaluate several runs at once; each has the result of :func:`train_run`.

    A run that fails or is out of patience leaves the batch, and the others go on.

    Args:
        runs: The runs, alike but for split and seed.
        splits: The graph with the masks of each run; the edges and features are the same.
        device: Where to run.
        on_epoch: Called after every epoch of every run, with its place in the batch.
        logs: Get the values of every epoch, one per run. (default: ``None``)

    Returns:
        One result per run: accuracies and failures are those of a single run, up to rounding,
        which hundreds of epochs can carry as far as a few test nodes.
        ``seconds`` is the time of the batch over the number of its runs, evaluations are those of
        the joint solves, which take as many products as the fastest run needs, and the peak of
        memory is the whole batch's.

    Raises:
        ValueError: If the runs are not alike, the model cannot be trained in a batch, or there are
            no validation nodes where they are needed, or the data are malformed, see
            :func:`grandpp.data.check_data`.
        IndexError: If an edge names a node that does not exist.
    """
    for run, data in zip(runs, splits, strict=True):
        check_selection(run, data)
    if len({run.config_hash for run in runs}) != 1:
        raise ValueError("expected runs that differ in split and seed alone (got other choices)")
    start, settings = time.perf_counter(), runs[0].settings
    batch = _Batch.begin(runs, splits, device)
    with PeakMemory(device) as memory:
        for epoch in range(1, settings.epochs + 1):
            began = 0.0 if logs is None else time.perf_counter()
            batch.train_epoch()
            batch.evaluate(epoch)
            for entry in batch.alive:
                log = None if logs is None else logs[entry.place]
                if log is not None:
                    share = (time.perf_counter() - began) / len(batch.alive)
                    log.epoch(entry.run.epoch_values(epoch, share))
                on_epoch(entry.place)
            batch.finish([e for e in batch.alive if e.result.out_of_patience(settings.patience)])
            if not batch.alive:
                break
        batch.finish(batch.alive)
    seconds = (time.perf_counter() - start) / len(runs)
    for entry in batch.entries:
        entry.run.record_cost(entry.result, seconds, memory)
        entry.result.batch_size = len(runs)
    return [entry.result for entry in batch.entries]


def check_batch(run: Run) -> None:
    """Refuse a run that cannot be trained in a batch.

    Raises:
        ValueError: If its model is no linear diffusion, or has another solver than the exact one.
    """
    if not run.settings.trains_in_batches:
        solver = run.choices().get("solver")
        raise ValueError(
            "expected linear GRAND or GRAND++ with solver exact for runs in batches "
            f"(got {run.model}{f' with solver {solver}' if solver else ''}): train the others "
            "without batches, several at once by workers"
        )


@dataclass
class _Entry:
    """A run of the batch; the last three are those of its last training step."""

    place: int
    run: TrainingRun
    stream: RandomStream
    result: RunResult = field(default_factory=RunResult)
    loss: Tensor | None = None
    stats: SolveStats | None = None

    def member(self, wanted: Tensor | None) -> Member:
        model: Any = self.run.model
        return Member(model, self.run.data.train_mask, wanted, self.stream)

    @property
    def tensors(self) -> list[Tensor]:
        """The loss and the parameters."""
        loss = [] if self.loss is None else [self.loss]
        return [*loss, *(p.detach() for p in self.run.model.parameters())]


@dataclass
class _Batch:
    entries: list[_Entry]
    optimizer: torch.optim.Optimizer

    def __post_init__(self) -> None:
        self.alive = list(self.entries)

    @classmethod
    def begin(cls, runs: Sequence[Run], splits: Sequence[Data], device: torch.device) -> _Batch:
        entries: list[_Entry] = []
        for place, (run, data) in enumerate(zip(runs, splits, strict=True)):
            check_batch(run)
            x = entries[0].run.x if entries else None
            entries.append(
                _Entry(place, TrainingRun.begin(run, data, device, x), RandomStream(device))
            )
        models = nn.ModuleList([entry.run.model for entry in entries])
        return cls(entries, build_optimizer(runs[0], models))

    def train_epoch(self) -> None:
        self._for_all(self._learn)
        self.optimizer.step()
        # One look at the device for the whole batch. A largest entry hides no NaN.
        sizes = [get_total_norm(entry.tensors, math.inf) for entry in self.alive]
        finite = torch.stack(sizes).isfinite().tolist() if sizes else []
        for entry, good in zip(list(self.alive), finite, strict=True):
            if good:
                entry.run.count(entry.stats)
            else:
                self._drop(entry, DivergedError(DIVERGED))

    def _learn(self, entries: Sequence[_Entry]) -> None:
        for entry in entries:
            entry.run.model.train()
            entry.run.model.zero_grad()
        outputs = self._classify(entries, [entry.run.targets.nodes for entry in entries])
        losses = [e.run.targets.loss(o.logits) for e, o in zip(entries, outputs, strict=True)]
        torch.stack(losses).sum().backward()
        for entry, output, loss in zip(entries, outputs, losses, strict=True):
            entry.stats, entry.loss = output.stats, loss.detach()
            entry.run.loss = entry.loss

    @torch.no_grad()
    def evaluate(self, epoch: int) -> None:
        def record_accuracy(entries: Sequence[_Entry]) -> None:
            for entry in entries:
                entry.run.model.eval()
            outputs = self._classify(entries, [None] * len(entries))
            for entry, output in zip(entries, outputs, strict=True):
                logits = entry.run.adjust(output.logits)
                entry.run.record_accuracy(logits, epoch, entry.result)
                entry.run.evaluate_trajectory(logits, epoch, entry.result)

        self._for_all(record_accuracy)

    def finish(self, entries: Sequence[_Entry]) -> None:
        """Remove the runs that have ended from the batch."""
        for entry in list(entries):
            try:
                entry.result.energy = entry.run.energy()
            except FAILURES as error:
                entry.result = RunResult.failed(error)
            self._drop(entry)

    def _classify(self, entries: Sequence[_Entry], wanted: Sequence[Tensor | None]) -> Any:
        members = [e.member(nodes) for e, nodes in zip(entries, wanted, strict=True)]
        run = entries[0].run
        return classify_batched(members, run.x, run.data.edge_index, run.data.edge_weight)

    def _for_all(self, job: Callable[[Sequence[_Entry]], None]) -> None:
        """Do a job for all runs at once; if it fails, for each alone, and drop the failed ones.

        The second attempt draws the random numbers of the first one again.
        """
        if not self.alive:
            return
        before = [entry.stream.state for entry in self.alive]
        try:
            job(self.alive)
            return
        except FAILURES:
            pass  # whose fault it is shows below
        for entry, state in zip(list(self.alive), before, strict=True):
            entry.stream.state = state
            try:
                job([entry])
            except FAILURES as error:
                self._drop(entry, error)

    def _drop(self, entry: _Entry, error: Exception | None = None) -> None:
        if error is not None:
            entry.result = RunResult.failed(error)
        entry.run.model.zero_grad()  # what has no gradient stays as it is
        self.alive.remove(entry)
