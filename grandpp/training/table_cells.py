"""Group records into the cells of a table, and refuse inconsistent records in one cell."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from grandpp.data import DATASETS
from grandpp.training.reading import METRICS
from grandpp.training.records import Record


@dataclass(frozen=True)
class CellRun:
    """The fields of a record that a comparison uses.

    Args:
        protocol, split, seed, config_hash, split_digest: Fields of the record.
        accuracies: Accuracies in the order of ``METRICS``; the first is ``None`` for a
            failed run.
    """

    protocol: str
    split: int
    seed: int
    config_hash: str
    split_digest: str
    accuracies: tuple[float | None, ...]

    @property
    def failed(self) -> bool:
        """Whether the run has no test accuracy."""
        return self.accuracies[0] is None


@dataclass(frozen=True)
class Cell:
    """All runs of one data set, number of labels and protocol, by model.

    Args:
        dataset, labels_per_class, protocol: Values shared by every run.
        runs: Runs by model, sorted by split and seed, without duplicates.
    """

    dataset: str
    labels_per_class: int
    protocol: str
    runs: dict[str, list[CellRun]]


def collect_cells(
    records: Iterable[Record],
    *,
    datasets: Collection[str] | None = None,
    labels: Collection[int] | None = None,
    models: Collection[str] | None = None,
    protocol: str | None = None,
    configs: Collection[str] = (),
) -> list[Cell]:
    """Group records into cells.

    Args:
        records: Records in any order, read once.
        datasets, labels, models, protocol: Values to keep. (default: all)
        configs: Configuration hashes that choose between several configurations of a model: if a
            model has runs with any of them, only those runs are kept.

    Returns:
        Cells in the order of the data sets in the thesis, then of the number of labels.

    Raises:
        ValueError: If no record is left; if a requested value is in no record; or if a cell has
            two protocols, two configurations of a model, two results of a run, or two different
            splits with the same number.
    """
    chosen = None if protocol is None else [protocol]
    wanted = {"dataset": datasets, "labels_per_class": labels, "model": models, "protocol": chosen}
    filters = {name: values for name, values in wanted.items() if values is not None}
    seen: dict[str, set[Any]] = {name: set() for name in (*wanted, "config_hash")}
    settings: dict[str, Mapping[str, Any]] = {}
    groups: dict[tuple[str, int], dict[str, list[CellRun]]] = {}
    for record in records:
        for name, values in seen.items():
            values.add(record[name])
        if any(record[name] not in values for name, values in filters.items()):
            continue
        settings.setdefault(record["config_hash"], record.get("config", {}))
        runs = groups.setdefault((record["dataset"], record["labels_per_class"]), {})
        runs.setdefault(record["model"], []).append(_run(record))
    for name, asked in {**filters, "config_hash": configs}.items():
        _check_seen(name, asked, seen[name])
    if not groups:
        raise ValueError("expected records that match all filters (got none)")
    return [_cell(*key, groups[key], configs, settings) for key in sorted(groups, key=_rank)]


def _run(record: Record) -> CellRun:
    return CellRun(
        protocol=record["protocol"],
        split=record["split"],
        seed=record["seed"],
        config_hash=record["config_hash"],
        split_digest=record["split_digest"],
        accuracies=tuple(record.get(metric) for metric in METRICS),
    )


def _rank(key: tuple[str, int]) -> tuple[int, str, int]:
    dataset, labels = key
    known = DATASETS.index(dataset) if dataset in DATASETS else len(DATASETS)
    return known, dataset, labels


def _check_seen(name: str, wanted: Collection[Any], seen: set[Any]) -> None:
    missing = [str(value) for value in wanted if value not in seen]
    if missing:
        there = ", ".join(str(v) for v in sorted(seen)) or "no record"
        raise ValueError(f"expected records with {name} {', '.join(missing)} (found {there})")


def _cell(
    dataset: str,
    labels: int,
    runs: dict[str, list[CellRun]],
    configs: Collection[str],
    settings: Mapping[str, Mapping[str, Any]],
) -> Cell:
    where = cell_title(dataset, labels)
    for model, own in runs.items():
        runs[model] = [r for r in own if r.config_hash in configs] or own
    protocols = sorted({r.protocol for own in runs.values() for r in own})
    if len(protocols) > 1:
        raise ValueError(
            f"expected one protocol on {where} (got {', '.join(protocols)}); "
            f"choose one (--protocol)"
        )
    for model, own in runs.items():
        hashes = sorted({r.config_hash for r in own})
        if len(hashes) > 1 and not set(hashes) <= set(configs):
            raise ValueError(
                f"expected one configuration of {model} on {where} (got {', '.join(hashes)}"
                f"{_difference([settings[h] for h in hashes])}); choose one by its hash (--config)"
            )
    _check_splits(runs, where)
    unique = {model: _unique(own, f"{model} on {where}") for model, own in runs.items()}
    return Cell(dataset, labels, protocols[0], unique)


def cell_title(dataset: str, labels: int) -> str:
    """Description of a cell, such as ``Cora with 1 label per class``."""
    return f"{dataset} with {labels} label{'s' if labels > 1 else ''} per class"


def _difference(settings: list[Mapping[str, Any]]) -> str:
    """Clause that lists the settings in which configurations differ; may be empty."""
    names = sorted(set().union(*settings))
    values = {n: [str(s.get(n)) for s in settings] for n in names}
    differing = [f"{n}: {', '.join(v)}" for n, v in values.items() if len(set(v)) > 1]
    return f", which differ in {'; '.join(differing)}" if differing else ""


def _check_splits(runs: Mapping[str, list[CellRun]], where: str) -> None:
    digests: dict[int, tuple[str, str]] = {}
    for model, own in runs.items():
        for run in own:
            digest, first = digests.setdefault(run.split, (run.split_digest, model))
            if digest != run.split_digest:
                raise ValueError(
                    f"expected identical splits to pair on {where} "
                    f"(split {run.split} of {first} is not that of {model})"
                )


def _unique(runs: list[CellRun], where: str) -> list[CellRun]:
    """Sort runs and remove duplicates; refuse a run with two different results."""
    found: dict[tuple[int, int], CellRun] = {}
    for run in runs:
        first = found.setdefault((run.split, run.seed), run)
        if first != run:
            two = " and ".join(sorted({first.config_hash, run.config_hash}))
            raise ValueError(
                f"expected one result per run (got test accuracies {first.accuracies[0]} and "
                f"{run.accuracies[0]} for split {run.split}, seed {run.seed} of {where}, "
                f"configuration {two}); leave one of them out"
            )
    return [found[key] for key in sorted(found)]
