"""Low-label splits of the nodes into training, validation and test nodes."""

from __future__ import annotations

import copy
import hashlib
import math
import operator
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from grandpp.data.checks import check_data

IntArray = NDArray[np.int64]

PROTOCOLS = ("grand", "per_class_val", "no_val", "grand_no_val")
_OF_A_POOL = ("grand", "grand_no_val")
UNVALIDATED = ("no_val", "grand_no_val")
"""Protocols without validation nodes: the number of epochs has to be fixed beforehand."""
_DEVELOPMENT_NODES = 1500
_VAL_PER_CLASS = 30
_DEVELOPMENT_NODES_OF = {"CoauthorCS": 5000}
# Of the labelled nodes of a graph that has no more than that: what 1500 are of Cora's.
_POOL_SHARE = 0.6


def low_label_split(
    data: Data,
    labels_per_class: int,
    seed: int,
    protocol: str = "grand",
    *,
    num_development: int | None = None,
    val_per_class: int = _VAL_PER_CLASS,
) -> Data:
    """Mark ``labels_per_class`` training nodes of every class, and the rest by ``protocol``.

    Source: the "grand" protocol is that of `GRAND <https://arxiv.org/abs/2106.10934>`_ (official
    code, its splits of the largest component) and of thesis section 4.6, draw for draw;
    the others spend fewer labels on choosing the epoch and are this package's own.

    * ``"grand"``: ``num_development`` nodes are drawn; of these, ``labels_per_class`` per class
      train and **all others validate**, so 1 label per class still uses 1493 labels on Cora.
    * ``"per_class_val"``: the nodes of each class are shuffled once; the first
      ``labels_per_class`` train, the last ``val_per_class`` validate.
    * ``"no_val"``: no validation nodes; the number of epochs has to be fixed beforehand.
    * ``"grand_no_val"``: the training and test nodes of "grand"; its validation nodes are in none
      of the three. Its results and those of "grand" differ by what validation labels are worth.

    Nodes whose label is not known, ``y = -1``, are in none of the three.

    For one seed the training nodes of a smaller ``labels_per_class`` are among those of a larger.

    Args:
        data: graph with ``y`` of shape ``[num_nodes]``, classes ``0 .. num_classes - 1``, or -1
            where none is known.
        labels_per_class: training nodes of every class, at least 1.
        seed: seed of the draw, ``0 .. 2**32 - 1``.
        protocol: one of ``PROTOCOLS``. (default: ``"grand"``)
        num_development: size of the pool of "grand" and "grand_no_val". (default: 1500; 5000 for
            CoauthorCS; 60 % of the labelled nodes where there are no more than that, see
            :func:`split_notice`)
        val_per_class: validation nodes of every class of "per_class_val". (default: ``30``)

    Returns:
        A shallow copy of ``data`` with boolean ``train_mask``, ``val_mask`` and ``test_mask`` of
        shape ``[num_nodes]``, which are disjoint and together cover all nodes with a known label
        (those of "grand_no_val" all but the rest of the pool); no node is left for the test where
        training and validation take all.

    Raises:
        ValueError: a number is not a positive integer, the protocol is unknown, the graph is too
            small for ``num_development``, there are not two classes, or a class has too few nodes
            (its number and name, what it has and needs).

    Example:
        >>> from grandpp.data import load_dataset
        >>> data = low_label_split(load_dataset("KarateClub"), 1, seed=0, protocol="no_val")
        >>> int(data.train_mask.sum()), int(data.test_mask.sum())
        (4, 30)
    """
    per_class, seed = _numbers(labels_per_class, seed, protocol)
    check_data(data)
    label, called = data.y.cpu().numpy(), _names_of_classes(data)
    if protocol in _OF_A_POOL:
        size = _development_size(data, num_development)
        train, val = _grand(label, per_class, seed, size, called)
    else:
        held = _integer("val_per_class", val_per_class, 1) if protocol == "per_class_val" else 0
        train, val = _per_class(label, per_class, seed, held, called)
    return _with_masks(data, train, val, protocol not in UNVALIDATED)


def low_label_splits(
    data: Data,
    labels_per_class: int,
    seeds: Iterable[int],
    protocol: str = "grand",
    *,
    num_development: int | None = None,
    val_per_class: int = _VAL_PER_CLASS,
) -> Iterator[Data]:
    """Yield :func:`low_label_split` for one seed after the other.

    Args:
        data: graph with ``y`` of shape ``[num_nodes]``.
        labels_per_class: training nodes of every class, at least 1.
        seeds: seeds of the draws, for example ``range(100)``.
        protocol: one of ``PROTOCOLS``. (default: ``"grand"``)
        num_development: size of the pool of "grand" and "grand_no_val". (default: 1500; 5000 for
            CoauthorCS)
        val_per_class: validation nodes of every class of "per_class_val". (default: ``30``)

    Raises:
        ValueError: as :func:`low_label_split`, when the first split is drawn.
    """
    for seed in seeds:
        yield low_label_split(
            data,
            labels_per_class,
            seed,
            protocol,
            num_development=num_development,
            val_per_class=val_per_class,
        )


def count_validation_nodes(
    data: Data, labels_per_class: int, seed: int, protocol: str = "grand"
) -> int:
    """Check that :func:`low_label_split` can draw a split, and count its validation nodes.

    No split is made: for the protocols with a pool its classes are counted, for the others those
    of the graph.

    Args:
        data, labels_per_class, seed, protocol: As in :func:`low_label_split`.

    Raises:
        ValueError: as :func:`low_label_split`.
    """
    per_class, seed = _numbers(labels_per_class, seed, protocol)
    check_data(data)
    label = data.y.cpu().numpy()
    called = _names_of_classes(data)
    classes = len(called)
    if protocol in _OF_A_POOL:
        size = _development_size(data, None)
        _check_pool(label[_pool(label, seed, size)], per_class, seed, called)
        return 0 if protocol in UNVALIDATED else size - per_class * classes
    held = _VAL_PER_CLASS if protocol == "per_class_val" else 0
    for value, size in enumerate(np.bincount(label[label >= 0], minlength=classes)):
        _check_class(called[value], int(size), per_class, held)
    return held * classes


def split_notice(data: Data, protocol: str = "grand", num_development: int | None = None) -> str:
    """Return a sentence if the pool of protocol "grand" is smaller than usual on this graph.

    Args:
        data: graph with ``y`` of shape ``[num_nodes]``, -1 where no label is known.
        protocol: one of ``PROTOCOLS``. (default: ``"grand"``)
        num_development: as in :func:`low_label_split`. (default: ``None``)

    Returns:
        The sentence; empty where the split is the usual one.
    """
    known = int((data.y >= 0).sum())
    usual = _usual_pool(data)
    if protocol not in _OF_A_POOL or num_development is not None or usual < known:
        return ""
    size = _development_size(data, None)
    return (
        f"{_name(data) or 'the graph'} has {known} labelled nodes: the pool of protocol "
        f"'{protocol}' has {size} nodes instead of {usual}, and {known - size} are left for the "
        "test"
    )


def split_digest(data: Data) -> str:
    """Name a split by 12 hexadecimal digits: the same exactly when all three masks are the same.

    Args:
        data: graph with ``train_mask``, ``val_mask`` and ``test_mask`` of shape ``[num_nodes]``.

    Returns:
        The start of the SHA-256 of the masks, for results files to show which split was used.

    Raises:
        ValueError: a mask is missing.
    """
    digest = hashlib.sha256()
    for name in ("train_mask", "val_mask", "test_mask"):
        if name not in data:
            raise ValueError(f"expected a split graph (got no {name!r}); use low_label_split")
        mask = data[name].cpu().numpy().astype(np.uint8)
        digest.update(f"{name}:{mask.size}:".encode() + mask.tobytes())
    return digest.hexdigest()[:12]


def _names_of_classes(data: Data) -> list[str]:
    """What messages call the classes: their numbers, and their names where the graph has them.

    Raises:
        ValueError: There are not two.
    """
    label = data.y[data.y >= 0]
    if int(label.max()) == int(label.min()):
        raise ValueError("expected known labels of at least two classes (got one class)")
    numbers = range(int(label.max()) + 1)
    names = data.get("class_names")
    if not isinstance(names, list | tuple) or len(names) < len(numbers):
        return [f"class {k}" for k in numbers]
    return [f"class {k}" if str(k) == str(names[k]) else f"class {k} ({names[k]})" for k in numbers]


def _grand(
    label: IntArray, per_class: int, seed: int, num_development: int, called: Sequence[str]
) -> tuple[IntArray, IntArray]:
    """The official draw: legacy numpy generators, started afresh for the training nodes."""
    pool, classes = _pool(label, seed, num_development), len(called)
    _check_pool(label[pool], per_class, seed, called)
    rng = np.random.RandomState(seed)
    chosen = [
        rng.choice(pool[label[pool] == value], per_class, replace=False) for value in range(classes)
    ]
    train = np.concatenate(chosen)
    return train, np.setdiff1d(pool, train)


def _pool(label: IntArray, seed: int, size: int) -> IntArray:
    known = np.flatnonzero(label >= 0)  # all nodes of the published graphs: the official draw
    return known[np.random.RandomState(seed).choice(known.size, size, replace=False)]


def _check_pool(label: IntArray, per_class: int, seed: int, called: Sequence[str]) -> None:
    for name, size in zip(called, np.bincount(label, minlength=len(called)), strict=True):
        if size < per_class:
            raise ValueError(
                f"{name} has {size} nodes among the {label.size} development "
                f"nodes of seed {seed} but needs {per_class}"
            )


def _per_class(
    label: IntArray, per_class: int, seed: int, held: int, called: Sequence[str]
) -> tuple[IntArray, IntArray]:
    """Shuffle every class once; its first nodes train and its last validate."""
    rng = np.random.RandomState(seed)
    train, val = [], []
    for value, name in enumerate(called):
        members = rng.permutation(np.flatnonzero(label == value))
        _check_class(name, members.size, per_class, held)
        train.append(members[:per_class])
        val.append(members[members.size - held :])
    return np.concatenate(train), np.concatenate(val)


def _check_class(name: str, size: int, per_class: int, held: int) -> None:
    if size < per_class + held:
        raise ValueError(
            f"{name} has {size} nodes but needs {per_class + held} "
            f"({per_class} to train, {held} to validate)"
            + ("; protocol 'no_val' holds none back to validate" if held else "")
        )


def _with_masks(data: Data, train: IntArray, val: IntArray, validated: bool) -> Data:
    """Attach the masks to a shallow copy; what neither trains nor validates is for the test."""
    kind = np.where(data.y.cpu().numpy() >= 0, 0, -1)
    kind[train], kind[val] = 1, 2
    if int((kind == 1).sum()) != train.size or int((kind == 2).sum()) != val.size:
        raise AssertionError("training and validation nodes overlap")
    split = copy.copy(data)
    which = torch.from_numpy(kind).to(data.y.device)
    split.train_mask, split.test_mask = which == 1, which == 0
    split.val_mask = (which == 2) & validated
    return split


def _development_size(data: Data, num_development: int | None) -> int:
    known = int((data.y >= 0).sum())
    if num_development is None:
        size = _usual_pool(data)
        return size if size < known else int(_POOL_SHARE * known)
    size = _integer("num_development", num_development, 1)
    if size >= known:
        name = _name(data)
        raise ValueError(
            f"expected more than {size} nodes with a label for the pool of protocol 'grand' "
            f"(got {known}{f' in {name}' if name else ''}); use a smaller num_development or "
            "protocol 'no_val' or 'per_class_val', for example --protocol no_val"
        )
    return size


def _numbers(labels_per_class: int, seed: int, protocol: str) -> tuple[int, int]:
    """The two numbers of a split, checked like the name of its protocol."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"expected 'protocol' to be one of {PROTOCOLS} (got {protocol!r})")
    per_class = _integer("labels_per_class", labels_per_class, 1)
    return per_class, _integer("seed", seed, 0, 2**32 - 1)


def _usual_pool(data: Data) -> int:
    return _DEVELOPMENT_NODES_OF.get(_name(data), _DEVELOPMENT_NODES)


def _name(data: Data) -> str:
    return str(data.name) if "name" in data else ""


def _integer(name: str, value: int, least: int, most: float = math.inf) -> int:
    """Take anything that counts as an integer, but no float and no truth value."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool | np.bool_) or not least <= number <= most:
        limit = f">= {least}" if most == math.inf else f"in {least} .. {most}"
        raise ValueError(f"expected {name!r} to be an integer {limit} (got {value!r})")
    return number
