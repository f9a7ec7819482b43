"""The command that trains a node classifier on a sharded graph, one process per part."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grandpp.distributed.arrays import ShardError
from grandpp.distributed.clusters import CLUSTERED
from grandpp.distributed.exchange import LostRankError
from grandpp.distributed.job import Job, broadcast, first_error, is_rank, joined, leave, run_ranks
from grandpp.distributed.read import Shard, read_info, read_shard
from grandpp.distributed.training import (
    NEEDS_WHOLE_GRAPH,
    Checkpoints,
    check_settings,
    train_shard,
)
from grandpp.studies.low_label.diffusion_settings import GRANDPPSettings, GRANDSettings
from grandpp.studies.low_label.network_settings import LayeredSettings
from grandpp.studies.low_label.report import accuracy_table
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.atomic_files import check_target
from grandpp.training.command import Command, Console
from grandpp.training.loggers import LogOptions, followed
from grandpp.training.memory import is_out_of_memory
from grandpp.training.options import (
    RecordOptions,
    ReportOptions,
    option,
    options_of,
    positive_int,
)
from grandpp.training.progress import Progress
from grandpp.training.record_file import RecordFile
from grandpp.training.records import RUN_RECORDS, Record, record_of
from grandpp.training.settings import Run
from grandpp.training.user_errors import USER_ERRORS, is_user_error

MODELS: tuple[str, ...] = (
    "grand-l", "grand-nl", "grand++-l", "grand++-nl", *CLUSTERED, "gcn",
)  # fmt: skip
_SOLVER = "tsit5"  # of nonlinear models, whose own solver takes no sharded graphs


@dataclass(frozen=True, kw_only=True)
class ShardedOptions(ReportOptions, RecordOptions, LogOptions):
    """Options of the command."""

    shards: Path = option("folder that 'grandpp partition' wrote", positional=True, metavar="DIR")
    model: str = option(
        "model to train: {choices}", default="grand++-l", choices=MODELS, metavar="NAME"
    )
    processes: int | None = option(
        "number of ranks to start on this machine, one per part, without torchrun",
        default=None,
        parse=positive_int,
        metavar="P",
    )
    checkpoint: Path | None = option(
        "file to write after every epoch", default=None, metavar="FILE"
    )
    resume: bool = option("continue from the checkpoint, if there is one", default=False)
    seed: int = option("seed of initial parameters and dropout", default=0, metavar="S")
    timeout: float = option(
        "seconds after which a rank that does not answer counts as lost",
        default=600.0,
        metavar="SECONDS",
    )
    verify: bool = option(
        "read all arrays once and compare their digests", default=True, negatable=True,
        shown_default="yes",
    )  # fmt: skip
    settings: Mapping[str, Any] = options_of(
        (GRANDSettings, GRANDPPSettings, LayeredSettings), without=NEEDS_WHOLE_GRAPH
    )


def train_sharded(options: ShardedOptions, console: Console) -> int:
    """Train one model on the split of the shards, and print its accuracy."""
    if options.resume and options.checkpoint is None:
        raise ValueError("expected --checkpoint beside --resume")
    if not options.timeout > 0:
        raise ValueError(f"expected a positive --timeout (got {options.timeout:g})")
    if not is_rank():
        info = read_info(options.shards, options.processes)
        if options.processes is not None and options.processes > 1:
            return run_ranks(train_rank, (options, console), options.processes)
        if info["parts"] > 1:
            raise ValueError(
                f"expected {info['parts']} ranks, one per part of {options.shards} (got one): add "
                f"--processes {info['parts']}, or start it by torchrun"
            )
    return train_rank(options, console)


def train_rank(options: ShardedOptions, console: Console) -> int:
    """Train as a rank of a job; arguments and result as of :func:`train_sharded`."""
    try:
        with joined(options.timeout) as job:
            return _train(options, console, job)
    except LostRankError as error:
        console.complain(error)
        return leave(1) if is_rank() else 1
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return console.out_of_memory(error)


def _train(options: ShardedOptions, console: Console, job: Job) -> int:
    prepared, wrong = None, ""
    try:
        prepared = _prepare(options, job)
    except USER_ERRORS as error:
        if not is_user_error(error):
            raise
        where = f"rank {job.rank}: " if job.size > 1 and not isinstance(error, ShardError) else ""
        wrong = f"{where}{error}"
    if wrong := first_error(wrong, job):
        if job.leads:
            console.complain(wrong)
        return 2
    if prepared is None:
        return 2
    run, shard, file = prepared
    record = file.records.get(run.key) if file is not None else None
    # Only rank 0 knows the file of records.
    if not broadcast(b"done" if record else b"", job):
        record = _run(options, job, run, shard)
        if file is not None:
            file.add(record)
    if job.leads and record is not None:
        console.emit(record)
        if record["message"]:
            console.notice(record["message"])
        console.show(accuracy_table([record]))
    return 0


def _prepare(options: ShardedOptions, job: Job) -> tuple[Run, Shard, RecordFile | None]:
    """Check everything that can be wrong, before any rank waits for another."""
    shard = read_shard(options.shards, job.rank, job.size, verify=options.verify)
    split = shard.info.get("split")
    if split is None:
        raise ShardError(f"{options.shards}: expected shards with a split")
    settings = dict(options.settings)
    if options.model.endswith("-nl"):
        settings.setdefault("solver", _SOLVER)
    run = tuned_run(
        shard.info["dataset"],
        options.model,
        split["labels_per_class"],
        protocol=split["protocol"],
        split=split["split"],
        seed=options.seed,
        **settings,
    )
    check_settings(run, shard.info)
    file = None
    if job.leads:
        if options.checkpoint is not None:
            check_target(options.checkpoint)
        file = RecordFile(options.out, RUN_RECORDS)
    return run, shard, file


def _run(options: ShardedOptions, job: Job, run: Run, shard: Shard) -> Record:
    checkpoints = None
    if options.checkpoint is not None:
        checkpoints = Checkpoints(options.checkpoint, options.resume)
    shown = Progress([run], not options.quiet) if job.leads else None
    logger = options.log if job.leads else None
    with shown or contextlib.nullcontext(), followed(logger, [run]) as following:
        if shown is not None:
            shown.start(run)

        def on_epoch(epoch: int) -> None:
            if shown is not None:
                shown.show(np.array([epoch]))

        log = following.logs[0]
        result = train_shard(run, shard, job, checkpoints=checkpoints, on_epoch=on_epoch, log=log)
        record = record_of(run, result, shard.info["split"]["digest"], "cpu")
        record["processes"] = job.size
        record["partition"] = shard.info["method"]
        following.records = [record]
        if shown is not None:
            shown.finish(0, record)
    return record


COMMAND = Command(
    "train-sharded",
    """Train a node classifier on a graph in several processes, with the result of one.

Examples:
    grandpp partition --dataset Cora --labels-per-class 5 --parts 2 --out cora-2
    grandpp train-sharded cora-2 --processes 2 --model grand++-l --out runs.jsonl
    torchrun --nproc-per-node 2 --max-restarts 3 -m grandpp train-sharded cora-2 \\
        --model grand++-l --out runs.jsonl --checkpoint run.pt --resume

Every product with the graph exchanges the rows of features that parts need from one another; the
number of processes changes only rounding. The default --solver of nonlinear models is tsit5. If a
process ends, the others end with exit code 1; with --resume the next start continues after the last
epoch. --best-time needs the whole graph and is refused.""",
    ShardedOptions,
    train_sharded,
)
