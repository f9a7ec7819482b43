"""The runs of a sweep, checked before the first one begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from torch_geometric.data import Data

from grandpp.training.build import build_model
from grandpp.training.config import RunConfig, with_run
from grandpp.training.loop import check_selection
from grandpp.training.records import Record, record_key
from grandpp.training.settings import tuned_config
from grandpp.training.worker import split_of


def plan_runs(
    graphs: Iterable[Data],
    models: Iterable[str],
    labels_per_class: Iterable[int],
    splits: Sequence[int],
    seeds: Sequence[int] = (0,),
    **settings: Any,
) -> list[tuple[RunConfig, Data]]:
    """List every model on every split of every number of labels of every graph, in that order.

    The splits themselves are drawn where the runs are done; here they are drawn once to see that
    they exist, for the largest number of labels, which has the others' nodes among its own.

    Args:
        graphs: Graphs with a ``name`` and ``num_classes``.
        models: Names of models.
        labels_per_class: Numbers of labelled nodes per class.
        splits: Seeds of the splits.
        seeds: Seeds of initialisation and dropout on each split. (default: ``(0,)``)
        **settings: As the overrides of :func:`tuned_config`.

    Raises:
        ValueError: If a setting is out of range, a model does not take it, or a class has too few
            nodes in a split.
        TypeError: For a setting that does not exist.
    """
    models, numbers = list(dict.fromkeys(models)), list(dict.fromkeys(labels_per_class))
    runs = []
    for data in graphs:
        for k in numbers:
            configs = [tuned_config(data.name, model, k, **settings) for model in models]
            if k == numbers[0]:
                for config in configs:
                    build_model(config, data.num_features, data.num_classes)
            runs += [
                (with_run(config, split, seed), data)
                for split in splits
                for seed in seeds
                for config in configs
            ]
        _check_splits([replace(c, labels_per_class=max(numbers)) for c in configs], data, splits)
    return runs


def _check_splits(configs: Sequence[RunConfig], data: Data, splits: Sequence[int]) -> None:
    for split in splits:
        here = split_of(replace(configs[0], split=split), data)
        for config in configs:
            check_selection(config, here)


def sort_records(records: list[Record], runs: Sequence[tuple[RunConfig, Data]]) -> None:
    """Bring records, which several workers finish in any order, into the order of the plan."""
    place = {config.key: n for n, (config, _) in enumerate(runs)}
    records.sort(key=lambda record: place[record_key(record)])
