"""Predictions as a table: one row per node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from grandpp.data import without_labelled_component
from grandpp.training.atomic_files import write_whole


def prediction_table(
    data: Data, classes: NDArray[Any], proba: NDArray[np.float64], given: NDArray[np.bool_]
) -> pd.DataFrame:
    """Make the table of predictions.

    Args:
        data: Graph that :func:`grandpp.data.read_graph` read.
        classes: Classes ``[C]``.
        proba: Probabilities ``[N, C]``.
        given: Nodes whose label was given ``[N]``.

    Returns:
        Columns ``node``, ``label``, ``confidence``, ``given``, ``component_labelled`` (1 where the
        node's connected component has a given label, 0 where features alone tell the class), and
        one probability per class, ``p(name)``.
    """
    best = proba.argmax(axis=1)
    marked = Data(edge_index=data.edge_index, y=torch.from_numpy(np.where(given, best, -1)))
    bare = without_labelled_component(marked).numpy()
    table = pd.DataFrame(
        {
            "node": data.node_ids,
            "label": classes[best],
            "confidence": proba.max(axis=1),
            "given": given.astype(np.int64),
            "component_labelled": (~bare).astype(np.int64),
        }
    )
    columns = [f"p({name})" for name in classes]
    return pd.concat([table, pd.DataFrame(proba, columns=columns)], axis=1)


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV, whole or not at all; probabilities with six digits."""
    write_whole(path, table.to_csv(index=False, float_format="%.6g").encode())
