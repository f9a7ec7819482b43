"""Labels as users have them, numbers or names with gaps, and numbered as models need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch_geometric.data import Data

MISSING = -1
"""Code of a node whose label is not known."""


class Labels(NamedTuple):
    """The label of every node.

    Args:
        codes: Place of each node's class among the classes, int64 ``[N]``; -1 for none known.
        classes: Names (object) or numbers (int64) of the classes ``[C]``.
    """

    codes: NDArray[np.int64]
    classes: NDArray[Any]

    def seen(self, labelled: NDArray[np.bool_]) -> Labels:
        """Forget the labels of all other nodes, and the classes that none of these has.

        Args:
            labelled: Nodes whose label may be seen, bool ``[N]``.

        Raises:
            ValueError: If fewer than two classes are left.
        """
        known = labelled & (self.codes != MISSING)
        used = np.unique(self.codes[known])
        if used.size < 2:
            found = f"one, {self.classes.tolist()[used[0]]!r}" if used.size else "no labelled node"
            raise ValueError(f"expected labelled nodes of at least two classes (got {found})")
        codes = np.full_like(self.codes, MISSING)
        codes[known] = np.searchsorted(used, self.codes[known])
        return Labels(codes, self.classes[used])


def read_labels(
    data: Data, y: ArrayLike | Tensor | None = None, names: Sequence[str] | None = None
) -> Labels:
    """Number the labels of a graph.

    Args:
        data: Graph. Without the next argument its ``y`` has the classes as integers, -1 for none
            known, and ``class_names``, where the graph has them, their names.
        y: Labels ``[N]`` instead: integers, -1 for none known, or names, ``None``, NaN or a blank
            text for none. One column ``[N, 1]`` is taken, too.
        names: Names of the classes that integers stand for.
            (default: ``None``, those of the graph where the labels are the graph's)

    Raises:
        ValueError: If there are no labels, not one per node, or labels of another kind.
    """
    given = data.get("y") if y is None else y
    if given is None:
        raise ValueError("expected labels, data.y or the argument y (got neither)")
    if isinstance(given, Tensor):
        array = given.cpu().numpy()
    else:  # a list of names and NaN must not become one of names
        array = np.asarray(given, dtype=None if hasattr(given, "dtype") else object)
    nodes = data.num_nodes
    if array.ndim == 2 and array.shape[1] == 1:  # as in OGB
        array = array[:, 0]
    if array.shape != (nodes,):
        raise ValueError(f"expected one label per node, shape [{nodes}] (got {list(array.shape)})")
    values = pd.Series(array.tolist() if array.dtype.kind in "OUS" else array).infer_objects()
    if values.dtype.kind == "O" or isinstance(values.dtype, pd.StringDtype):
        blank = values.map(lambda value: isinstance(value, str) and not value.strip())
        values = values.mask(blank.astype(bool)).infer_objects()
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        words = values.dropna()
        wrong = words[~words.map(lambda value: isinstance(value, str)).astype(bool)]
        if len(wrong):
            raise ValueError(
                "expected labels that are all integers or all names (got "
                f"{wrong.iloc[0]!r} at node {wrong.index[0]})"
            )
        missing = values.isna()
    else:
        missing = values.isna() | (values == MISSING)
        wrong = values[~missing & ((values < 0) | (values % 1 != 0))]
        if len(wrong):
            raise ValueError(
                "expected labels that are integers of at least 0, or -1 for none known (got "
                f"{wrong.iloc[0]:g} at node {wrong.index[0]})"
            )
    codes = np.full(len(values), MISSING, dtype=np.int64)
    codes[~missing], classes = pd.factorize(values[~missing], sort=True)
    numeric = pd.api.types.is_numeric_dtype(classes)
    called = data.get("class_names") if y is None and names is None else names
    if called is not None and numeric:
        beyond = [int(k) for k in classes if k >= len(called)]
        if beyond:
            raise ValueError(
                f"expected labels below {len(called)}, the number of class names (got {beyond[0]})"
            )
        return Labels(codes, np.array([called[int(k)] for k in classes], dtype=object))
    return Labels(codes, np.asarray(classes, dtype=np.int64 if numeric else object))


def as_tensor(labels: Labels) -> Tensor:
    """The codes as a tensor."""
    return torch.from_numpy(labels.codes)


def places(label: ArrayLike | Tensor, classes: NDArray[Any]) -> NDArray[np.int64]:
    """The place of each label among the classes, -1 where it is none of them."""
    array = label.cpu().numpy() if isinstance(label, Tensor) else np.asarray(label, dtype=object)
    return pd.Index(classes).get_indexer(pd.Index(array))


def mask_of(given: ArrayLike | Tensor, num_nodes: int, name: str) -> NDArray[np.bool_]:
    """A mask of nodes as bool ``[N]``.

    Args:
        given: Mask of type bool, or of integers 0 and 1.
        num_nodes: Number N of nodes.
        name: Its name, for the message.

    Raises:
        ValueError: If it is something else, for example indices of nodes.
    """
    array = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    fits = array.shape == (num_nodes,) and array.dtype.kind in "biu"
    if not fits or not bool(np.isin(array, (0, 1)).all()):
        splits = array.ndim == 2 and array.shape[0] == num_nodes
        hint = f": choose one split, such as {name}[:, 0]" if splits else ""
        raise ValueError(
            f"expected '{name}' as a mask of {num_nodes} nodes, type bool (got {array.dtype} of "
            f"shape {list(array.shape)}){hint}"
        )
    return array.astype(bool)
