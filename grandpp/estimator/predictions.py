"""Predictions as a table: one row per node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grandpp.training.atomic_files import write_whole


def prediction_table(
    nodes: Sequence[Any],
    classes: NDArray[Any],
    proba: NDArray[np.float64],
    given: NDArray[np.bool_],
) -> pd.DataFrame:
    """Make the table ``node, label, confidence, given`` and one probability per class.

    Args:
        nodes: Ids of the nodes.
        classes: Classes ``[C]``.
        proba: Probabilities ``[N, C]``.
        given: Nodes whose label was given ``[N]``.
    """
    best = proba.argmax(axis=1)
    table = pd.DataFrame(
        {
            "node": nodes,
            "label": classes[best],
            "confidence": proba.max(axis=1),
            "given": given.astype(np.int64),
        }
    )
    columns = [f"p({name})" for name in classes]
    return pd.concat([table, pd.DataFrame(proba, columns=columns)], axis=1)


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV, whole or not at all; probabilities with six digits."""
    write_whole(path, table.to_csv(index=False, float_format="%.6g").encode())
