"""Runs whose labelled nodes are chosen without labels, so that they may miss classes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch_geometric.data import Data

from grandpp.models import suggest_from_views
from grandpp.training.result import RunResult
from grandpp.training.settings import Run
from grandpp.training.shared_views import views_of


def coverage_split(run: Run, data: Data) -> Data:
    """A split whose training nodes :func:`grandpp.models.suggest_from_views` chooses.

    Args:
        run: The run; as many nodes are chosen as its labels per class times the classes.
        data: Graph; only nodes with a known label can be chosen, as theirs can be looked up, but
            no label is looked at.

    Returns:
        A shallow copy with masks: nothing validates, and all other nodes with a known label test.

    Raises:
        ValueError: If there are not so many nodes with a known label.
    """
    views = views_of(data)
    known = (data.y >= 0).nonzero().view(-1)
    rows = known.to(views.features.device)
    inside = views._replace(
        features=views.features[rows], diffused=views.diffused[rows], graph=views.graph[rows]
    )
    number = run.labels_per_class * (int(data.y.max()) + 1)
    chosen = known[suggest_from_views(inside, number, seed=run.split).to(known.device)]
    split = copy.copy(data)
    split.train_mask = torch.zeros_like(data.y, dtype=torch.bool)
    split.train_mask[chosen] = True
    split.val_mask = torch.zeros_like(split.train_mask)
    split.test_mask = (data.y >= 0) & ~split.train_mask
    return split


def met_classes(split: Data) -> tuple[Data, int]:
    """The split with the classes that have training nodes, numbered from 0, and their number.

    Nodes of other classes have an unknown label.
    """
    met: Tensor = split.y[split.train_mask].unique()
    number = split.y.new_full((int(split.y.max()) + 2,), -1)
    number[met] = torch.arange(len(met), device=met.device)
    part = copy.copy(split)
    part.y = number[split.y]  # the last entry is that of -1
    return part, len(met)


def count_missed_classes(result: RunResult, split: Data, part: Data, classes_met: int) -> None:
    """Count the test nodes of classes that have no training node as wrong.

    Args:
        result: Result on the part, changed here.
        split: The split.
        part: The part of it that :func:`met_classes` returned.
        classes_met: Number of classes in it.
    """
    counted, known = int((part.y >= 0)[split.test_mask].sum()), int(split.test_mask.sum())
    share = counted / known if known else 1.0
    for name in ("test_accuracy", "last_test_accuracy"):
        value = getattr(result, name)
        setattr(result, name, None if value is None else value * share)
    result.classes_met = classes_met
