"""Many runs, one after the other or several at once: resumable, visible, nothing done is lost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import torch
from joblib import Parallel, delayed
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.experiment.config import RunConfig
from grandpp.experiment.memory import keep_freed_memory
from grandpp.experiment.records import (
    Record,
    append_record,
    make_record,
    read_records,
    record_key,
)
from grandpp.experiment.rewired import rewire_once
from grandpp.experiment.train import RunResult, train_run


def run_sweep(
    runs: Sequence[tuple[RunConfig, Data]],
    device: torch.device,
    on_record: Callable[[Record], None],
    *,
    out: Path | None = None,
    progress: bool = True,
    jobs: int = 1,
) -> None:
    """Run what is not in a file of records yet, and report every record.

    Args:
        runs: Configurations with the split data of each.
        device: Where to run.
        on_record: Called with each record, those found in the file first.
        out: File to append to; created with the first record. (default: ``None``)
        progress: Show a bar with the running mean of every model. (default: ``True``)
        jobs: Runs at once, in processes that share the processor's cores; the results are those
            of one after the other. (default: ``1``)

    Raises:
        ValueError: If ``out`` holds something else than records, its folder does not exist,
            several jobs are to share a GPU, or a graph cannot be rewired as a run asks for.
    """
    if jobs > 1 and device.type != "cpu":
        raise ValueError(f"expected jobs=1 on a GPU, which one run fills (got {jobs})")
    if out and not out.parent.is_dir():
        raise ValueError(f"expected an existing folder for {out} (got none at {out.parent})")
    done = {record_key(r): r for r in read_records(out)} if out else {}
    todo = rewire_once([run for run in runs if run[0].key not in done], progress=progress)
    for config, _ in runs:
        if config.key in done:
            on_record(done[config.key])
    accuracies: dict[str, list[float]] = {}
    total = sum(config.epochs for config, _ in todo)
    with tqdm(total=total, unit="epoch", disable=not progress, file=sys.stderr) as bar:
        results = _one_by_one(todo, device, bar) if jobs == 1 else _at_once(todo, jobs, bar)
        for i, result in results:
            config, data = todo[i]
            record = make_record(config, result, data, str(device))
            if out:
                append_record(out, record)
            on_record(record)
            if result.test_accuracy is not None:
                accuracies.setdefault(config.model, []).append(result.test_accuracy)
            bar.set_postfix({m: f"{100 * sum(a) / len(a):.1f}%" for m, a in accuracies.items()})


def _one_by_one(
    todo: Sequence[tuple[RunConfig, Data]], device: torch.device, bar: tqdm[NoReturn]
) -> Iterator[tuple[int, RunResult]]:
    for i, (config, data) in enumerate(todo):
        bar.set_description(f"{config.model} split {config.split}")
        yield i, train_run(config, data, device, on_epoch=lambda: bar.update(1))


def _at_once(
    todo: Sequence[tuple[RunConfig, Data]], jobs: int, bar: tqdm[NoReturn]
) -> Iterator[tuple[int, RunResult]]:
    """Results as they come; the bar moves by whole runs."""
    threads = max(1, torch.get_num_threads() // jobs)
    work = (delayed(_work)(i, config, data, threads) for i, (config, data) in enumerate(todo))
    for i, result in Parallel(n_jobs=jobs, return_as="generator_unordered")(work):
        bar.update(todo[i][0].epochs)
        yield i, result


def _work(i: int, config: RunConfig, data: Data, threads: int) -> tuple[int, RunResult]:
    torch.set_num_threads(threads)
    keep_freed_memory()
    return i, train_run(config, data, torch.device("cpu"))
