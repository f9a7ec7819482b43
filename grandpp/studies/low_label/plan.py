"""The runs of a sweep, checked before the first one begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch_geometric.data import Data

from grandpp.data import count_validation_nodes
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.loop import check_selection, check_validation
from grandpp.training.records import Record, record_key
from grandpp.training.settings import Run


def plan_runs(
    graphs: Iterable[Data],
    models: Iterable[str],
    labels_per_class: Iterable[int],
    splits: Sequence[int],
    seeds: Sequence[int] = (0,),
    labels_chosen: str | None = None,
    **settings: Any,
) -> list[tuple[Run, Data]]:
    """List every model on every split of every number of labels of every graph, in that order.

    No model is built and no split drawn: settings check themselves, and classes are counted.

    Args:
        graphs: Graphs with a ``name``.
        models: Names of models.
        labels_per_class: Numbers of labelled nodes per class.
        splits: Seeds of the splits.
        seeds: Seeds of initialisation and dropout on each split. (default: ``(0,)``)
        labels_chosen: Plan each run a second time, with nodes to label that are chosen so, see
            :class:`grandpp.training.Run`; nothing validates there. (default: ``None``: random
            splits alone)
        **settings: As the overrides of :func:`tuned_run`.

    Raises:
        ValueError: If a setting is out of range, a model does not take it, a class has too few
            nodes in a split, or there are fewer labels than nodes to choose.
        TypeError: For a setting that does not exist.
    """
    models, numbers = list(dict.fromkeys(models)), list(dict.fromkeys(labels_per_class))
    runs = []
    for data in graphs:
        for k in numbers:
            wanted = [tuned_run(data.name, model, k, **settings) for model in models]
            if labels_chosen is not None:
                wanted += [
                    replace(run, protocol="no_val", labels_chosen=labels_chosen) for run in wanted
                ]
            runs += [
                (run.on(split, seed), data) for split in splits for seed in seeds for run in wanted
            ]
    check_splits(runs)
    return runs


def check_splits(runs: Iterable[tuple[Run, Data]]) -> None:
    """Refuse runs whose split cannot be drawn, or lacks the validation nodes that they need.

    Args:
        runs: Runs with the graph of each; one that has masks already is not split.

    Raises:
        ValueError: If a class has too few nodes, or validation nodes are missing.
    """
    # The training nodes of a smaller number of labels are among those of a larger one.
    groups: dict[tuple[int, str], list[Run]] = {}
    graphs: dict[int, Data] = {}
    for run, data in runs:
        graphs[id(data)] = data
        if run.labels_chosen is None:
            groups.setdefault((id(data), run.protocol), []).append(run)
        else:
            _check_choice(run, data)
    for (which, protocol), group in groups.items():
        data = graphs[which]
        if "train_mask" in data:
            for run in group:
                check_selection(run, data)
            continue
        most: dict[int, int] = {}
        for run in group:
            most[run.split] = max(run.labels_per_class, most.get(run.split, 0))
        nodes = min(
            count_validation_nodes(data, number, split, protocol) for split, number in most.items()
        )
        for run in group:
            check_validation(run, nodes)


def _check_choice(run: Run, data: Data) -> None:
    """Refuse a choice of more nodes than have labels, or settings that need validation nodes."""
    check_validation(run, 0)
    number, known = run.labels_per_class * (int(data.y.max()) + 1), int((data.y >= 0).sum())
    if number >= known:
        raise ValueError(
            f"expected more labelled nodes than the {number} to choose in {data.name} (got {known})"
        )


def sort_records(records: list[Record], runs: Sequence[tuple[Run, Data]]) -> None:
    """Bring records, which several workers finish in any order, into the order of the plan."""
    place: Mapping[Any, int] = {run.key: n for n, (run, _) in enumerate(runs)}
    records.sort(key=lambda record: place[record_key(record)])
