"""Progress display of a sweep."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from grandpp.training.records import Record
from grandpp.training.settings import Run


class Progress(AbstractContextManager["Progress"]):
    """A bar over the epochs of all runs, with the time left and each model's mean accuracy.

    Args:
        runs: The runs; a run is named by its place here.
        show: Whether anything is shown.
    """

    def __init__(self, runs: Sequence[Run], show: bool) -> None:
        self._epochs = np.array([run.settings.epochs for run in runs], dtype=np.int64)
        self._finished = np.zeros(len(runs), dtype=bool)
        self._accuracies: dict[tuple[str, int], dict[str, list[float]]] = {}
        # Fast and slow models take turns: the mean speed so far predicts the time left best.
        self._bar = tqdm(
            total=int(self._epochs.sum()),
            unit="epoch",
            disable=not show,
            file=sys.stderr,
            smoothing=0,
        )

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def start(self, run: Run) -> None:
        """Name the run that begins."""
        k, model = run.labels_per_class, run.model
        text = f"{run.dataset}, {k} per class, {model} split {run.split}"
        self._bar.set_description(text, refresh=False)

    def show(self, epochs: NDArray[np.int64]) -> None:
        """Move to the epochs done; a finished run counts in full, also if it stopped early."""
        done = int(np.where(self._finished, self._epochs, epochs).sum())
        self._bar.update(done - self._bar.n)

    def finish(self, slot: int, record: Record) -> None:
        """Count a run as finished, and its accuracy."""
        self._finished[slot] = True
        block = self._accuracies.setdefault((record["dataset"], record["labels_per_class"]), {})
        if record["test_accuracy"] is not None:
            block.setdefault(record["model"], []).append(record["test_accuracy"])
        means = {model: f"{100 * sum(a) / len(a):.1f}%" for model, a in block.items()}
        self._bar.set_postfix(means, refresh=False)
