"""Many runs one after the other: resumable, visible, never losing what is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.experiment.config import RunConfig
from grandpp.experiment.records import (
    Record,
    append_record,
    make_record,
    read_records,
    record_key,
)
from grandpp.experiment.train import train_run


def run_sweep(
    runs: Sequence[tuple[RunConfig, Data]],
    device: torch.device,
    on_record: Callable[[Record], None],
    *,
    out: Path | None = None,
    progress: bool = True,
) -> None:
    """Run what is not in a file of records yet, and report every record.

    Args:
        runs: Configurations with the split data of each.
        device: Where to run.
        on_record: Called with each record, those found in the file first.
        out: File to append to; created with the first record. (default: ``None``)
        progress: Show a bar with the running mean of every model. (default: ``True``)

    Raises:
        ValueError: If ``out`` holds something else than records, or its folder does not exist.
    """
    if out and not out.parent.is_dir():
        raise ValueError(f"expected an existing folder for {out} (got none at {out.parent})")
    done = {record_key(r): r for r in read_records(out)} if out else {}
    todo = [(config, data) for config, data in runs if config.key not in done]
    for config, _ in runs:
        if config.key in done:
            on_record(done[config.key])
    accuracies: dict[str, list[float]] = {}
    total = sum(config.epochs for config, _ in todo)
    with tqdm(total=total, unit="epoch", disable=not progress, file=sys.stderr) as bar:
        for config, data in todo:
            bar.set_description(f"{config.model} split {config.split}")
            result = train_run(config, data, device, on_epoch=lambda: bar.update(1))
            record = make_record(config, result, data, str(device))
            if out:
                append_record(out, record)
            on_record(record)
            if result.test_accuracy is not None:
                accuracies.setdefault(config.model, []).append(result.test_accuracy)
            bar.set_postfix({m: f"{100 * sum(a) / len(a):.1f}%" for m, a in accuracies.items()})
